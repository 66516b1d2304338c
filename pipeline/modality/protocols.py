"""What a modality offers to the stages.

Reader: bytes to what is known of an item. Shelf: what a row of the store is. Encoder: bytes to a
row. Scaling: what normalizes rows. Net: rows to features. Show: items for people and for programs.
Each part is found by a look-up beside this file, so that a stage reads the code of the parts that
it uses and no other.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from pipeline.store.shards import Array, Rows

if TYPE_CHECKING:  # worker processes do without pydantic
    from pipeline.ground.params import Section
    from pipeline.modality.params import ShelfParams

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

    params: "type[ShelfParams]"
    """The section `transform`."""

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


class StoredRows(Protocol):
    """What a Scaling reads of a store."""

    @property
    def folder(self) -> Path:
        """Return where it is."""

    def rows(self, split: str) -> Rows:
        """Return the row numbers of a split, ascending."""

    def read(self, rows: Rows) -> Array:
        """Copy rows into memory, in the order asked for."""


class Scaling(Protocol):
    """What the values of rows are multiplied with before a network sees them."""

    params: "type[Section]"
    """The section `normalize`."""

    def fit(self, store: StoredRows, params: Any, *, record: Path, plots: Path) -> dict[str, Any]:
        """Fit it on train, and measure every split before and after.

        Args:
            store: The rows.
            params: Of the type of `params`.
            record: Of the weights: what they expect.
            plots: A folder for PNG files.

        Returns:
            The record `normalization.json`.
        """


class Net(Protocol):
    """Rows to features."""


class Show(Protocol):
    """Items for people, and for programs that ask a served model."""
