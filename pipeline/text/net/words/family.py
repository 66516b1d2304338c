"""Word vectors and convolutions over them: names, and files of weights.

The number of words is free; so all tensors are taken as they are, and none is matched by shape.
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from torch import Tensor

from pipeline.ground.errors import DataError
from pipeline.modality.types.pretrained import Shapes
from pipeline.text.net.family import OfFile, find_ending
from pipeline.text.net.words import cnn, vectors
from pipeline.text.net.words.cnn import CnnBackbone, CnnModel
from pipeline.text.net.words.forms import RARE, TABLE, form_of
from pipeline.text.net.words.vectors import MOST_WORDS, VectorsBackbone, WordModel
from pipeline.text.shelf.tokens import TENSOR


class WordFamily(OfFile):
    """`vectors_<D>d`, the mean of word vectors, and `cnn_<D>d`, convolutions over them."""

    example = "vectors_50d or cnn_50d"

    def knows(self, architecture: str) -> bool:
        """Return whether it is such a name."""
        return _width(architecture) is not None

    def build(self, architecture: str) -> VectorsBackbone:
        """Build one, without words; filters start at random, the same each time."""
        width = cnn.width_of(architecture)
        if width is not None:
            return CnnBackbone(CnnModel(width).eval(), architecture)
        return VectorsBackbone(WordModel(_width(architecture) or 0).eval(), architecture)

    def most_tokens(self, architecture: str) -> int:
        """Return how many words are read at most."""
        del architecture
        return MOST_WORDS

    def shapes(self, architecture: str) -> Shapes:
        """Return none: the number of words is free."""
        del architecture
        return {}

    def is_outside(self, tensor: str) -> bool:
        """Return True: `beside` takes what belongs here."""
        del tensor
        return True

    def random_parts(self, architecture: str) -> Sequence[str]:
        """Name the filters."""
        return () if cnn.width_of(architecture) is None else (cnn.STEP,)

    def form(self, path: Path, architecture: str) -> Callable[[], Mapping[str, Tensor]] | None:
        """Return what reads a file of word vectors, if it is one by its name."""
        read, width = form_of(path), _width(architecture)
        return None if read is None or width is None else lambda: read(path, width)

    def beside(
        self, path: Path, tensors: Mapping[str, Tensor], architecture: str
    ) -> dict[str, Tensor]:
        """Return vectors, words, and filters: those of the tensors, or random ones.

        Raises:
            DataError: The tensors are none of word vectors, or of another width.
        """
        built = self.build(architecture).model
        table, words = find_ending(tensors, TABLE), find_ending(tensors, TENSOR)
        if table is None or words is None:
            raise DataError(
                path,
                f"must hold word vectors for {architecture}",
                remedy="see text.weights.architecture and text.weights.source",
            )
        if table.shape[1:] != built.table.weight.shape[1:]:
            raise DataError(
                path, f"must be vectors of {built.width} numbers", got=int(table.shape[1])
            )
        own = built.state_dict()
        found = {name: find_ending(tensors, name) for name in (*own, RARE)}
        taken = {name: each for name, each in found.items() if each is not None}
        return {**own, **taken, TABLE: table, TENSOR: words}


def _width(architecture: str) -> int | None:
    return vectors.width_of(architecture) or cnn.width_of(architecture)
