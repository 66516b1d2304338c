"""The Net of a modality: rows to features."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
from torch import Tensor

from pipeline.modality.parts import part
from pipeline.modality.table import MODALITIES
from pipeline.modality.types.backbone import Backbone
from pipeline.modality.types.params import AugmentSection
from pipeline.modality.types.pretrained import Doubt, Expected, Package, ReadTensors, Shapes, Source

PART = "net.net"
"""The module of every modality that holds it; tests read this too, for the imports of stages."""


class Normalization(Protocol):
    """How rows become inputs."""

    @property
    def mode(self) -> str:
        """As in `normalize.mode`."""

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""


class Net(Protocol):
    """Rows to features."""

    VERSIONS: Mapping[str, str]
    """Packages that decide what features are."""

    CODE: Sequence[ModuleType]
    """Modules that decide what features are."""

    params: type[AugmentSection]
    """What the section `augment` of params.yaml holds."""

    SOURCES: Mapping[str, Source]
    """By the kind of `weights.source`."""

    PACKAGES: Mapping[str, Package]
    """By distribution: those whose tensors have names of their own."""

    def knows(self, architecture: str) -> bool:
        """Return whether there is such an architecture."""

    def build(self, architecture: str) -> Backbone:
        """Build a backbone in eval mode; its random weights are the same each time.

        Raises:
            ParamsError: There is no such architecture.
        """

    def expected(self, architecture: str) -> Expected:
        """Return what the default weights of an architecture were trained with.

        Raises:
            ParamsError: There is no such architecture.
        """

    def shapes(self, architecture: str) -> Shapes:
        """Return the tensors of an architecture, with the classifier of its default weights."""

    def without_classifier(self, found: Shapes, architecture: str) -> Shapes:
        """Leave out the tensors that belong to an architecture's classifier."""

    def entry(self, folder: Path, architecture: str) -> Path | None:
        """Return the file of weights in a folder, of a kind of folder that is known, or None.

        Raises:
            DataError: The folder holds weights of another kind.
        """

    def form(self, path: Path, architecture: str) -> ReadTensors | None:
        """Return what reads a file that neither torch nor safetensors wrote, or None.

        What is returned raises DataError and IntegrityError.
        """

    def beside(
        self, path: Path | None, tensors: Mapping[str, Tensor], architecture: str
    ) -> Mapping[str, Tensor]:
        """Return further tensors of a backbone, whose shapes no architecture says.

        Args:
            path: The file of weights, which others may lie beside; None for a random start.
            tensors: What it holds.
            architecture: A name that is known.

        Raises:
            DataError: A file is missing.
            ParamsError: There can be no random start.
        """

    def looks_like(self, found: Shapes, *, besides: str) -> str | None:
        """Name another common architecture that has these tensors, if any."""

    def doubt(self, spec: Any, architecture: str, *, input_size: Sequence[int]) -> Doubt | None:
        """Return where rows are not what weights were trained with, though it can be meant."""

    def facts(self, spec: Any) -> dict[str, Any]:
        """Return what records say of the size of rows."""

    def read_normalization(self, record: Mapping[str, Any]) -> Normalization:
        """Read a normalization from JSON.

        Raises:
            KeyError, TypeError, ValueError: It is none.
        """

    def load_normalization(self, path: Path) -> Normalization:
        """Read a `normalization.json`.

        Raises:
            DataError: The file is missing.
            IntegrityError: It is none.
        """

    VIEWS: Sequence[int]
    """Codes of all ways in which `view` can show an item; the first is the item as it is."""

    def view(self, rows: Tensor, code: int) -> Tensor:
        """Show all items in one way."""

    def spread_views(
        self, augment: Any, seeds: Sequence[int], *, view: int, views: int
    ) -> npt.NDArray[np.int64]:
        """Draw a code for one of several views of each item, so that the views differ.

        Args:
            augment: How views may differ.
            seeds: One for each item, the same for all its views.
            view: In [0, views).
            views: How many there are.
        """

    def augment(
        self, rows: Tensor, augment: Any, seeds: Sequence[int], codes: Any = None
    ) -> Tensor:
        """Change each row by its own random stream.

        Args:
            rows: Not changed.
            augment: How rows vary.
            seeds: One for each row.
            codes: Of their views, where these are not to be drawn.
        """


def net(modality: str) -> Net:
    """Return the Net of a modality of `MODALITIES`."""
    found: Net = part(modality, PART, "NET")
    return found


def modality_for(architecture: str) -> str:
    """Return the modality that an architecture is for; the first one where none knows it."""
    return next((each for each in MODALITIES if net(each).knows(architecture)), MODALITIES[0])
