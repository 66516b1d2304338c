"""The multilingual encoder: its name and its file of weights."""

from collections.abc import Callable, Mapping
from pathlib import Path

import torch
from torch import Tensor

from pipeline.ground.errors import DataError
from pipeline.modality.types.pretrained import Shapes
from pipeline.text.net.family import OfFile, find_ending
from pipeline.text.net.multilingual.backbone import MOST_PIECES, MultilingualBackbone
from pipeline.text.net.multilingual.encoder import Encoder, random_encoder
from pipeline.text.net.multilingual.source import TABLE, read_archive
from pipeline.text.shelf.tokens import TENSOR

_ARCHIVE = ".npz"
_TABLE = tuple(f"{TABLE}{name}" for name in ("table", "scale", "low"))


class MultilingualFamily(OfFile):
    """`use_multilingual`."""

    example = "use_multilingual"

    def knows(self, architecture: str) -> bool:
        """Return whether it is that name."""
        return architecture == self.example

    def build(self, architecture: str) -> MultilingualBackbone:
        """Build the encoder."""
        return MultilingualBackbone(random_encoder(), architecture)

    def most_tokens(self, architecture: str) -> int:
        """Return how many pieces are read at most."""
        del architecture
        return MOST_PIECES

    def shapes(self, architecture: str) -> Shapes:
        """Return the tensors that are trained."""
        del architecture
        with torch.device("meta"):
            state = Encoder().state_dict()
        return {name: tuple(each.shape) for name, each in state.items()}

    def is_outside(self, tensor: str) -> bool:
        """Return whether it is of the pieces, which are not trained."""
        return tensor.startswith((TABLE, TENSOR))

    def form(self, path: Path, architecture: str) -> Callable[[], Mapping[str, Tensor]] | None:
        """Return what reads an archive of arrays."""
        del architecture
        return (lambda: read_archive(path)) if path.suffix == _ARCHIVE else None

    def beside(
        self, path: Path, tensors: Mapping[str, Tensor], architecture: str
    ) -> dict[str, Tensor]:
        """Return the vectors of pieces, and what parts texts into pieces.

        Raises:
            DataError: The tensors are of something else.
        """
        found = {name: find_ending(tensors, name) for name in (*_TABLE, TENSOR)}
        taken = {name: each for name, each in found.items() if each is not None}
        if len(taken) < len(found):
            raise DataError(
                path,
                f"must hold the vectors of pieces of {architecture}",
                remedy="see text.weights.architecture and text.weights.source",
            )
        return taken
