"""What a family of encoders of texts says of its names and of its files of weights."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Protocol

from torch import Tensor

from pipeline.ground.errors import ParamsError
from pipeline.modality.types.pretrained import Shapes
from pipeline.text.net.base import TextBackbone


class Family(Protocol):
    """Architectures of one kind. A name that is passed is one that it knows."""

    example: str
    """How its names look."""

    def knows(self, architecture: str) -> bool:
        """Return whether it is one of its names."""

    def build(self, architecture: str) -> TextBackbone:
        """Build one; its random weights are the same each time, and it has no tokenizer."""

    def most_tokens(self, architecture: str) -> int:
        """Return how many tokens it reads at most."""

    def shapes(self, architecture: str) -> Shapes:
        """Return the tensors that a file of weights must have."""

    def is_outside(self, tensor: str) -> bool:
        """Return whether a tensor of a file is none of those by its name."""

    def random_parts(self, architecture: str) -> Sequence[str]:
        """Name the parts that no file of weights has, and that start at random."""

    def entry(self, folder: Path, architecture: str) -> Path | None:
        """Return the file of weights in a folder that the family knows, or None.

        Raises:
            DataError: The folder holds another kind.
        """

    def form(self, path: Path, architecture: str) -> Callable[[], Mapping[str, Tensor]] | None:
        """Return what reads a file in a form of the family's own, or None."""

    def beside(
        self, path: Path, tensors: Mapping[str, Tensor], architecture: str
    ) -> dict[str, Tensor]:
        """Return further tensors: of those that a file holds, or of a file beside it.

        Raises:
            DataError: There are none.
        """


class OfFile:
    """A family of which all is pretrained, in one file that torch or safetensors wrote."""

    def random_parts(self, architecture: str) -> Sequence[str]:
        """Return none."""
        del architecture
        return ()

    def entry(self, folder: Path, architecture: str) -> Path | None:
        """Return None: no folder is known."""
        del folder, architecture
        return None

    def form(self, path: Path, architecture: str) -> Callable[[], Mapping[str, Tensor]] | None:
        """Return None: there is no other form."""
        del path, architecture
        return None


def find_ending(tensors: Mapping[str, Tensor], end: str) -> Tensor | None:
    """Return the tensor whose name ends so, whatever a framework put before it; None: empty."""
    found = (each for name, each in tensors.items() if name.endswith(end) and each.numel())
    return next(found, None)


def refuse_random(architecture: str) -> ParamsError:
    """Return that texts need weights."""
    return ParamsError(
        "params.yaml",
        f"must not be none for texts: the tokenizer of {architecture} comes with weights",
        field="text.weights.source",
        got="none",
    )
