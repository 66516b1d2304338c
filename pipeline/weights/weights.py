"""Pretrained weights as an artifact: a backbone's tensors, and a record of what they are."""

import logging
import tempfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from pipeline.ground.errors import IntegrityError, ParamsError
from pipeline.ground.files import canonical_json, read_json, write_json
from pipeline.picture.net.backbones import COUNTER, Backbone, build_backbone, preprocessing
from pipeline.weights.files import check_file, read_state_dict
from pipeline.weights.matching import match_tensors, rename_in_order
from pipeline.weights.params import WeightsParams
from pipeline.weights.sources import ResolveModel, WeightsFile, locate
from pipeline.weights.tensors import load_tensors, save_tensors

log = logging.getLogger(__name__)

_REMEDY = "run `dvc checkout` or `dvc repro weights`"


@dataclass(frozen=True)
class BackboneRecord:
    """What pretrained weights are, and what they expect: `backbone.json`.

    Attributes:
        architecture: A timm name.
        source: `weights.source`.
        sha256: Of the source's file; None for a random start.
        license: None where it is not known.
        input_size: Channels, height, width that the weights were trained with.
        mean: By channel, on the scale 0..1.
        std: By channel, on the scale 0..1.
        interpolation: Of resizing, when they were trained.
        num_parameters: Without the classifier.
    """

    architecture: str
    source: str
    sha256: str | None
    license: str | None
    input_size: tuple[int, int, int]
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    interpolation: str
    num_parameters: int

    def save(self, path: Path) -> None:
        """Write the record as JSON."""
        write_json(path, asdict(self))

    @classmethod
    def load(cls, path: Path) -> "BackboneRecord":
        """Read a record.

        Raises:
            DataError: The file is missing.
            IntegrityError: It is no such record.
        """
        try:
            content = dict(read_json(path))
            for field in ("input_size", "mean", "std"):
                first, second, third = content[field]
                content[field] = (first, second, third)
            return cls(**content)
        except (KeyError, TypeError, ValueError) as error:
            raise IntegrityError(path, f"is no backbone record: {error}", remedy=_REMEDY) from error


def fetch_weights(
    params: WeightsParams, local: Path, *, resolve_model: ResolveModel
) -> tuple[dict[str, Tensor], BackboneRecord]:
    """Get a backbone's tensors under timm's names, without a classifier, and their record.

    Args:
        params: What is asked for.
        local: The folder of local weight files.
        resolve_model: Gives the `model.safetensors` of a registered model, for `model:`.

    Raises:
        ParamsError: The source or architecture does not exist.
        DataError: The file is missing, unsafe, of another architecture, or not finite.
        MachineError: The network or a package is missing.
        IntegrityError: The file is damaged, or has another SHA-256.
    """
    backbone = build_backbone(params.architecture)
    if params.source == "none":
        return _start_at_random(params, backbone)
    with tempfile.TemporaryDirectory(prefix="rootstock-weights-") as scratch:
        file = locate(
            params.source,
            params.architecture,
            local=local,
            scratch=Path(scratch),
            resolve_model=resolve_model,
        )
        sha256 = check_file(file.path, params.sha256)
        tensors, meta = read_state_dict(file.path, params.key)
        if file.in_order:
            tensors = rename_in_order(tensors, params.architecture, where=file.path)
        matched = match_tensors(tensors, params.architecture, where=file.path)
        log.info("weights: %d tensors from %s", len(matched), params.source)
    state = _complete(matched, backbone)
    return state, _record(params, file, sha256=sha256, meta=meta, backbone=backbone)


def save_backbone(
    backbone: Path, record: Path, *, state: dict[str, Tensor], facts: BackboneRecord
) -> None:
    """Write a backbone's tensors and then their record."""
    save_tensors(backbone, state, asdict(facts))
    facts.save(record)


def load_backbone(backbone: Path, record: Path) -> tuple[Backbone, BackboneRecord]:
    """Read what `save_backbone` wrote: the backbone in eval mode on the CPU, and its record.

    Raises:
        DataError: A file is missing.
        IntegrityError: They are damaged, or do not belong together.
    """
    facts = BackboneRecord.load(record)
    state, meta = load_tensors(backbone)
    if canonical_json(meta) != canonical_json(asdict(facts)):
        told = f"{meta.get('architecture')} from {meta.get('source')}"
        raise IntegrityError(
            backbone,
            f"must belong to {record}, which records {facts.architecture} from {facts.source}",
            got=told,
            remedy=_REMEDY,
        )
    built = build_backbone(facts.architecture)
    built.model.load_state_dict(state)
    return built, facts


def _start_at_random(
    params: WeightsParams, backbone: Backbone
) -> tuple[dict[str, Tensor], BackboneRecord]:
    for field in ("sha256", "key"):
        if getattr(params, field) is not None:
            raise ParamsError(
                "params.yaml",
                "must be null where weights.source is none",
                field=f"weights.{field}",
                got=getattr(params, field),
            )
    facts = preprocessing(params.architecture)
    record = BackboneRecord(
        architecture=params.architecture,
        source="none",
        sha256=None,
        license=None,
        input_size=facts.input_size,
        mean=facts.mean,
        std=facts.std,
        interpolation=facts.interpolation,
        num_parameters=_count(backbone),
    )
    log.info("weights: random start, nothing is pretrained")
    return dict(backbone.model.state_dict()), record


def _complete(matched: Mapping[str, Tensor], backbone: Backbone) -> dict[str, Tensor]:
    """Add batch normalization's counters, at zero."""
    own: dict[str, Tensor] = backbone.model.state_dict()
    return {name: each if name.endswith(COUNTER) else matched[name] for name, each in own.items()}


def _record(
    params: WeightsParams,
    file: WeightsFile,
    *,
    sha256: str,
    meta: Mapping[str, Any],
    backbone: Backbone,
) -> BackboneRecord:
    # a file of our own says itself what its weights expect; see `bundle.save_model`
    return BackboneRecord(
        architecture=params.architecture,
        source=params.source,
        sha256=sha256,
        license=file.license,
        input_size=tuple(meta.get("input_size", file.input_size)),
        mean=tuple(meta.get("mean", file.mean)),
        std=tuple(meta.get("std", file.std)),
        interpolation=file.interpolation,
        num_parameters=_count(backbone),
    )


def _count(backbone: Backbone) -> int:
    return sum(each.numel() for each in backbone.parameters())
