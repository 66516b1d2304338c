"""Pretrained weights as an artifact: a backbone's tensors, and a record of what they are."""

import logging
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from torch import Tensor

from pipeline.ground.errors import IntegrityError, ParamsError
from pipeline.ground.files import canonical_json, read_json, write_json
from pipeline.modality.nets import modality_for, net
from pipeline.modality.table import read_modality, write_modality
from pipeline.modality.types.backbone import COUNTER, Backbone
from pipeline.modality.types.pretrained import Expected
from pipeline.weights.params import WeightsParams
from pipeline.weights.reading import check_weights_file, read_weights_file
from pipeline.weights.sources import ResolveModel, locate
from pipeline.weights.tensors import load_tensors, save_tensors

log = logging.getLogger(__name__)

_REMEDY = "run `dvc checkout` or `dvc repro weights`"
_OWN = ("architecture", "source", "sha256", "num_parameters")


@dataclass(frozen=True)
class BackboneRecord:
    """What pretrained weights are, and what they expect: `backbone.json`.

    Attributes:
        modality: What the architecture is for.
        architecture: A name that the modality's `Net` knows.
        source: `weights.source`.
        sha256: Of the source's file; None for a random start.
        expected: What they were trained with.
        num_parameters: Without the classifier.
    """

    modality: str
    architecture: str
    source: str
    sha256: str | None
    expected: Expected
    num_parameters: int

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        return {
            **write_modality(self.modality),
            "architecture": self.architecture,
            "source": self.source,
            "sha256": self.sha256,
            "license": self.expected.license,
            "input_size": list(self.expected.input_size),
            **self.expected.facts,
            "num_parameters": self.num_parameters,
        }

    @classmethod
    def load(cls, path: Path) -> "BackboneRecord":
        """Read a record.

        Raises:
            DataError: The file is missing.
            IntegrityError: It is no such record.
        """
        try:
            facts = dict(read_json(path))
            modality = read_modality(facts)
            facts.pop("modality", None)
            own = {name: facts.pop(name) for name in _OWN}
            expected = Expected(
                tuple(map(int, facts.pop("input_size"))), license=facts.pop("license"), facts=facts
            )
            return cls(modality, expected=expected, **own)
        except (KeyError, TypeError, ValueError) as error:
            raise IntegrityError(path, f"is no backbone record: {error}", remedy=_REMEDY) from error


def fetch_weights(
    params: WeightsParams, local: Path, *, resolve_model: ResolveModel
) -> tuple[dict[str, Tensor], BackboneRecord]:
    """Get a backbone's tensors under the names of its net, without a classifier, and their record.

    Args:
        params: What is asked for.
        local: The folder of local weight files.
        resolve_model: Returns the `model.safetensors` of a registered model, for `model:`.

    Raises:
        ParamsError: The source or architecture does not exist.
        DataError: The file is missing, unsafe, of another architecture, or not finite.
        MachineError: The network or a package is missing.
        IntegrityError: The file is damaged, or has another SHA-256.
    """
    modality = modality_for(params.architecture)
    own = net(modality)
    backbone = own.build(params.architecture)
    if params.source == "none":
        return _start_at_random(params, backbone, modality)
    with tempfile.TemporaryDirectory(prefix="rootstock-weights-") as scratch:
        file = locate(
            params.source,
            params.architecture,
            own,
            local=local,
            scratch=Path(scratch),
            resolve_model=resolve_model,
        )
        sha256 = check_weights_file(file, params, own)
        read = read_weights_file(file, params, own)
        log.info("weights: %d tensors from %s", len(read.tensors), params.source)
    state = _complete(read.tensors, backbone)
    expected = _expected(file.expected, read.meta)
    return state, BackboneRecord(
        modality, params.architecture, params.source, sha256, expected, _count(state, backbone)
    )


def save_backbone(
    backbone: Path, record: Path, *, state: dict[str, Tensor], facts: BackboneRecord
) -> None:
    """Write a backbone's tensors and then their record."""
    save_tensors(backbone, state, facts.to_dict())
    write_json(record, facts.to_dict())


def load_backbone(backbone: Path, record: Path, modality: str) -> tuple[Backbone, BackboneRecord]:
    """Read what `save_backbone` wrote: the backbone in eval mode on the CPU, and its record.

    Args:
        backbone: The tensors.
        record: What they are.
        modality: Of the items that they are for.

    Raises:
        ParamsError: They are for other items.
        DataError: A file is missing.
        IntegrityError: They are damaged, or do not belong together.
    """
    facts = BackboneRecord.load(record)
    if facts.modality != modality:
        raise ParamsError(
            "params.yaml",
            f"must be an architecture for items of the modality {modality!r}",
            field="weights.architecture",
            got=facts.architecture,
        )
    state, meta = load_tensors(backbone)
    if canonical_json(meta) != canonical_json(facts.to_dict()):
        told = f"{meta.get('architecture')} from {meta.get('source')}"
        raise IntegrityError(
            backbone,
            f"must belong to {record}, which records {facts.architecture} from {facts.source}",
            got=told,
            remedy=_REMEDY,
        )
    built = net(facts.modality).build(facts.architecture)
    built.model.load_state_dict(state)
    return built, facts


def _start_at_random(
    params: WeightsParams, backbone: Backbone, modality: str
) -> tuple[dict[str, Tensor], BackboneRecord]:
    for field in ("sha256", "key"):
        if getattr(params, field) is not None:
            raise ParamsError(
                "params.yaml",
                "must be null where weights.source is none",
                field=f"weights.{field}",
                got=getattr(params, field),
            )
    own = net(modality)
    expected = own.expected(params.architecture)
    state = {**backbone.model.state_dict(), **own.beside(None, {}, params.architecture)}
    record = BackboneRecord(
        modality,
        params.architecture,
        "none",
        None,
        replace(expected, license=None),
        _count(state, backbone),
    )
    log.info("weights: random start, nothing is pretrained")
    return state, record


def _complete(matched: Mapping[str, Tensor], backbone: Backbone) -> dict[str, Tensor]:
    """Add batch normalization's counters, at zero."""
    own: dict[str, Tensor] = backbone.model.state_dict()
    return {name: each if name.endswith(COUNTER) else matched[name] for name, each in own.items()}


def _expected(usual: Expected, meta: Mapping[str, Any]) -> Expected:
    """Return what weights expect; a file of our own says it itself: see `bundle.save_model`."""
    return replace(
        usual,
        input_size=tuple(meta.get("input_size", usual.input_size)),
        facts={name: meta.get(name, value) for name, value in usual.facts.items()},
    )


def _count(state: Mapping[str, Tensor], backbone: Backbone) -> int:
    return sum(state[name].numel() for name, _ in backbone.model.named_parameters())
