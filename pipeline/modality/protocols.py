"""What a modality offers: a Reader, a Shelf, an Encoder, a Net and a Show.

Reader: bytes to what is known of an item. Shelf: what a row of the store is. Encoder: bytes to a
row. Net: rows to features. Show: items for people and for programs. Each part is found by a
look-up beside this file, so that a stage reads the code of the parts that it uses and no other.
"""

from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np

from pipeline.store.shards import Array

Facts = Mapping[str, type[int] | type[str]]
"""Columns of the manifest that are written for items of one modality, and what they hold."""


class Reader(Protocol):
    """Bytes to what is known of an item."""


class Spec(Protocol):
    """How an item becomes a row: all that its encoding depends on. Each Shelf has its own type."""

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""


class Shelf(Protocol):
    """What a row of the store is."""

    def spec(self, record: Mapping[str, Any]) -> Any:
        """Read a `Spec` from what its `to_dict` gave.

        Raises:
            KeyError, TypeError, ValueError: It is something else.
        """

    def row(self, spec: Any) -> tuple[tuple[int, ...], np.dtype[Any]]:
        """Return shape and type of a row."""


class Encoder(Protocol):
    """Bytes to a row of the store."""

    max_bytes: int
    """What is larger is not read."""

    less_room: str
    """What to change in params.yaml for smaller rows."""

    less_refused: str
    """What to change in params.yaml, so that `clean` sets aside what `encode` refuses."""

    def code(self) -> str:
        """Return a digest of the code that decides the bytes of a row."""

    def encode(self, content: bytes, spec: Any) -> Array | str:
        """Return the row of an item, or say why there is none."""


class Net(Protocol):
    """Rows to features."""


class Show(Protocol):
    """Items for people, and for programs that ask a served model."""
