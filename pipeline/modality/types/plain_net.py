"""Parts of a Net for modalities that lack what another one has; see `pipeline.modality.nets`."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from torch import Tensor

from pipeline.modality.types.params import AugmentSection
from pipeline.modality.types.pretrained import ReadTensors


class PlainFiles:
    """Weights are files that torch or safetensors wrote, and hold all tensors."""

    def entry(self, folder: Path, architecture: str) -> Path | None:
        """Return None: no kind of folder is known."""
        del folder, architecture
        return None

    def form(self, path: Path, architecture: str) -> ReadTensors | None:
        """Return None: there are no other forms."""
        del path, architecture
        return None

    def beside(
        self, path: Path | None, tensors: Mapping[str, Tensor], architecture: str
    ) -> Mapping[str, Tensor]:
        """Return none."""
        del path, tensors, architecture
        return {}


class OneView:
    """Items are shown in one way, and taken as they are."""

    params = AugmentSection
    VIEWS: Sequence[int] = (0,)

    def view(self, rows: Tensor, code: int) -> Tensor:
        """Return all items as they are."""
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
        return rows
