"""The Encoder of lists of numbers."""

import numpy as np
from pipeline.numbers.read import parse
from pipeline.numbers.shelf.params import NumberSpec

from pipeline.store.previous_build import code_digest


class NumberEncoder:
    """A row is a list, cut off or filled with zeros."""

    max_bytes = parse.LIMITS.bytes
    less_room = "lower transform.length"
    less_refused = "raise clean.min_length"

    def code(self) -> str:
        """Return a digest of the code that decides the bytes of a row."""
        return code_digest(parse, versions={"numpy": np.__version__})

    def encode(self, content: bytes, specs: list[NumberSpec]) -> list[parse.Numbers] | str:
        """Return the row of an item under each spec, or say why there is none."""
        try:
            values = parse.parse(content)
        except ValueError as error:
            return str(error)
        cut = [values[: each.length] for each in specs]
        return [np.pad(each, (0, s.length - len(each))) for each, s in zip(cut, specs, strict=True)]


ENCODER = NumberEncoder()
