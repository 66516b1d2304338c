"""The Net of lists of numbers."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from pipeline.numbers.net import backbone
from pipeline.numbers.shelf import scaling
from pipeline.numbers.shelf.scaling import NumberNormalization
from torch import Tensor

from pipeline.ground.errors import IntegrityError, ParamsError
from pipeline.ground.files import read_json
from pipeline.modality.types.plain_net import OneView, PlainFiles
from pipeline.modality.types.pretrained import Doubt, Expected, Package, Shapes, Source

ARCHITECTURE = "projection"


class NumberNet(OneView, PlainFiles):
    """Lists of numbers behind the protocol `Net`."""

    VERSIONS: Mapping[str, str] = {"torch": str(torch.__version__)}
    CODE = (backbone, scaling)
    SOURCES: Mapping[str, Source] = {}
    PACKAGES: Mapping[str, Package] = {}

    def knows(self, architecture: str) -> bool:
        """Return whether it is the one there is."""
        return architecture == ARCHITECTURE

    def build(self, architecture: str) -> backbone.NumberBackbone:
        """Build the projection; its random weights are the same each time."""
        if not self.knows(architecture):
            raise ParamsError(
                "params.yaml",
                f"must be {ARCHITECTURE}",
                field="weights.architecture",
                got=architecture,
            )
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(1)
            return backbone.NumberBackbone(backbone.Projection().eval(), architecture)

    def expected(self, architecture: str) -> Expected:
        """Return what the weights were trained with."""
        del architecture
        return Expected((backbone.LENGTH,), {}, None)

    def shapes(self, architecture: str) -> Shapes:
        """Return the tensors."""
        state = self.build(architecture).model.state_dict()
        return {name: tuple(each.shape) for name, each in state.items()}

    def without_classifier(self, found: Shapes, architecture: str) -> Shapes:
        """Return all: there is no classifier."""
        del architecture
        return found

    def looks_like(self, found: Shapes, *, besides: str) -> str | None:
        """Return None: there is one architecture."""
        del found, besides
        return None

    def doubt(self, spec: Any, architecture: str, *, input_size: Sequence[int]) -> Doubt | None:
        """Return None: `check` says all."""
        del spec, architecture, input_size
        return None

    def facts(self, spec: Any) -> dict[str, Any]:
        """Return the length."""
        return {"length": spec.length}

    def read_normalization(self, record: Mapping[str, Any]) -> NumberNormalization:
        """Read it from JSON."""
        return NumberNormalization(float(record["mean"]), float(record["std"]))

    def load_normalization(self, path: Path) -> NumberNormalization:
        """Read a file."""
        try:
            return self.read_normalization(read_json(path))
        except (KeyError, TypeError, ValueError) as error:
            raise IntegrityError(path, f"is no normalization: {error}") from error

    def augment(
        self, rows: Tensor, augment: Any, seeds: Sequence[int], codes: Any = None
    ) -> Tensor:
        """Change nothing."""
        del augment, seeds, codes
        return rows.to(torch.float32)


NET = NumberNet()
