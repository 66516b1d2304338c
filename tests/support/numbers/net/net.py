"""The Net of lists of numbers."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from pipeline.numbers.net import backbone
from pipeline.numbers.shelf import scaling
from pipeline.numbers.shelf.scaling import NumberNormalization
from torch import Tensor

from pipeline.ground.errors import IntegrityError, ParamsError
from pipeline.ground.files import read_json
from pipeline.modality.types.params import AugmentSection
from pipeline.modality.types.pretrained import Doubt, Expected, Package, Shapes, Source

ARCHITECTURE = "projection"


class NumberNet:
    """Lists of numbers behind the protocol `Net`."""

    VERSIONS: Mapping[str, str] = {"torch": str(torch.__version__)}
    CODE = (backbone, scaling)
    params = AugmentSection
    SOURCES: Mapping[str, Source] = {}
    PACKAGES: Mapping[str, Package] = {}
    VIEWS = (0,)

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

    def entry(self, folder: Path, architecture: str) -> None:
        """Return None: weights are files."""
        del folder, architecture

    def form(self, path: Path, architecture: str) -> None:
        """Return None: there are no other forms."""
        del path, architecture

    def beside(
        self, path: Path | None, tensors: Mapping[str, Tensor], architecture: str
    ) -> Mapping[str, Tensor]:
        """Return none."""
        del path, tensors, architecture
        return {}

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

    def view(self, rows: Tensor, code: int) -> Tensor:
        """Show all items in the one way there is."""
        del code
        return rows

    def spread_views(
        self, augment: Any, seeds: Sequence[int], *, view: int, views: int
    ) -> npt.NDArray[np.int64]:
        """Return the one code."""
        del augment, view, views
        return np.zeros(len(seeds), dtype=np.int64)

    def augment(
        self, rows: Tensor, augment: Any, seeds: Sequence[int], codes: Any = None
    ) -> Tensor:
        """Change nothing."""
        del augment, seeds, codes
        return rows.to(torch.float32)


NET = NumberNet()
