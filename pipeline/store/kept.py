"""Many small rows in columns: each is made anew when it is asked for, and none waits in memory.

A Python object with its texts takes some 400 bytes, the same in columns of Arrow what its texts
take; and where columns lie on disk, the kernel keeps of them what it has room for.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from typing import Any, Generic, NamedTuple, Self, TypeVar, overload

import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.store.spill import MEMORY, Place

ROWS_AT_ONCE = 4096
T = TypeVar("T")


class Kind(NamedTuple, Generic[T]):
    """What rows are.

    Attributes:
        schema: Of their columns.
        values: Returns a row's value for each column.
        make: Makes a row of its values.
    """

    schema: pa.Schema
    values: Callable[[T], Sequence[Any]]
    make: Callable[..., T]


def _one(text: str) -> tuple[str]:
    return (text,)


def _same(text: str) -> str:
    return text


TEXTS: Kind[str] = Kind(pa.schema([("text", pa.large_string())]), _one, _same)


def cells(width: int) -> "Kind[tuple[str, ...]]":
    """Return the kind of rows of a table that have so many texts each."""
    names = map(str, range(width))
    return Kind(pa.schema([(name, pa.large_string()) for name in names]), _tuple, _tuple_of)


def _tuple(row: tuple[str, ...]) -> tuple[str, ...]:
    return row


def _tuple_of(*values: str) -> tuple[str, ...]:
    return values


class Kept(Sequence[T]):
    """Rows in the order in which they were kept.

    Args:
        batches: Of `ROWS_AT_ONCE` rows each but for the last.
        kind: What they are.
        place: Where they wait, and where others wait that are made of them.
    """

    def __init__(
        self, batches: Sequence[pa.RecordBatch], kind: Kind[T], place: Place = MEMORY
    ) -> None:
        self._batches = batches
        self.kind = kind
        self.place = place

    @classmethod
    def keep(cls, rows: Iterable[T], kind: Kind[T], place: Place = MEMORY) -> Self:
        """Take rows as they come.

        Raises:
            OSError: The disk is full.
        """
        return cls(place.hold(_batches(iter(rows), kind), kind.schema), kind, place)

    @classmethod
    def of(cls, rows: Iterable[T], kind: Kind[T], place: Place = MEMORY) -> "Kept[T]":
        """Return rows that are kept already as they are, others by `keep`."""
        return rows if isinstance(rows, Kept) else cls.keep(rows, kind, place)

    def __len__(self) -> int:
        if not self._batches:
            return 0
        return (len(self._batches) - 1) * ROWS_AT_ONCE + int(self._batches[-1].num_rows)

    def __iter__(self) -> Iterator[T]:
        for batch in self._batches:
            yield from map(self.kind.make, *(column.to_pylist() for column in batch.columns))

    @overload
    def __getitem__(self, at: int) -> T: ...
    @overload
    def __getitem__(self, at: slice) -> list[T]: ...
    def __getitem__(self, at: int | slice) -> T | list[T]:
        """Return one row, or several."""
        if isinstance(at, slice):
            return [self[each] for each in range(*at.indices(len(self)))]
        at = int(at) + (len(self) if at < 0 else 0)
        if not 0 <= at < len(self):
            raise IndexError(at)
        batch, row = self._batches[at // ROWS_AT_ONCE], at % ROWS_AT_ONCE
        return self.kind.make(*(column[row].as_py() for column in batch.columns))

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Sequence):
            return NotImplemented
        return len(self) == len(other) and all(map(_are_equal, self, other))

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return repr(tuple(self))

    def column(self, name: str) -> pa.ChunkedArray:
        """Return a column as it lies there."""
        chunks = [batch.column(name) for batch in self._batches]
        return pa.chunked_array(chunks, self.kind.schema.field(name).type)

    def texts(self, name: str | int) -> "Kept[str]":
        """Return a column of texts, by its name or place, as rows of their own."""
        columns = (batch.column(name) for batch in self._batches)
        return Kept([pa.record_batch([each], TEXTS.schema) for each in columns], TEXTS, self.place)

    @staticmethod
    def beside(columns: "Sequence[Kept[str]]", place: Place) -> "Kept[tuple[str, ...]]":
        """Lay columns of texts, of one length, beside each other; nothing is copied."""
        kind = cells(len(columns))
        parts = zip(*(each._batches for each in columns), strict=True)
        batches = [
            pa.record_batch([batch.column(0) for batch in part], kind.schema) for part in parts
        ]
        return Kept(batches, kind, place)

    def sorted_by(self, name: str) -> "Kept[T]":
        """Return the rows in the order of a text's code points, equal ones in their own order."""
        keys = self.column(name)
        if _is_sorted(keys):
            return self
        return self._taken(pc.sort_indices(keys).to_numpy())

    def _taken(self, places: npt.NDArray[Any]) -> "Kept[T]":
        whole = pa.Table.from_batches(self._batches, self.kind.schema).combine_chunks()
        parts = (
            whole.take(pa.array(places[start : start + ROWS_AT_ONCE])).combine_chunks().to_batches()
            for start in range(0, len(places), ROWS_AT_ONCE)
        )
        batches = (batch for part in parts for batch in part)
        return Kept(self.place.hold(batches, self.kind.schema), self.kind, self.place)


def _batches(rows: Iterator[T], kind: Kind[T]) -> Iterator[pa.RecordBatch]:
    while some := list(islice(rows, ROWS_AT_ONCE)):
        columns = zip(*map(kind.values, some), strict=True)
        arrays = [
            pa.array(values, field.type) for values, field in zip(columns, kind.schema, strict=True)
        ]
        yield pa.RecordBatch.from_arrays(arrays, schema=kind.schema)


def _are_equal(one: object, other: object) -> bool:
    return one == other


def _is_sorted(keys: pa.ChunkedArray) -> bool:
    last = None
    for chunk in keys.chunks:
        if last is not None and last > chunk[0].as_py():
            return False
        if not pc.all(pc.less_equal(chunk[:-1], chunk[1:]), min_count=0).as_py():
            return False
        last = chunk[-1].as_py()
    return True
