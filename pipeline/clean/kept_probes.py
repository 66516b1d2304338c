"""Probes of many items in columns, that wait on disk: memory does not grow with what was seen."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import Any, overload

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pipeline.modality.facts import facts
from pipeline.modality.types.probe import Probe
from pipeline.store.spill import Piece, Place

ROWS_AT_ONCE = 4096
CARRIES = pa.map_(pa.string(), pa.int64())
TYPES = {int: pa.int64(), str: pa.large_string()}

Ints = npt.NDArray[np.int64]


class KeptProbes(Sequence[Probe]):
    """Probes in the order in which they were kept; each is made anew when it is asked for.

    Args:
        batches: Of `ROWS_AT_ONCE` rows each but for the last, in the columns of a probe's fields.
        schema: Of each of them.
    """

    def __init__(self, batches: Sequence[pa.RecordBatch], schema: pa.Schema) -> None:
        self._batches = batches
        self._schema = schema

    @classmethod
    def keep(cls, probes: Iterable[Probe], modality: str, place: Place) -> "KeptProbes":
        """Take probes as they come.

        Args:
            probes: Of items of one modality.
            modality: Of the items.
            place: Where they wait.

        Raises:
            OSError: The disk is full.
        """
        own = facts(modality).columns
        schema = pa.schema(
            [
                ("id", pa.large_string()),
                *((name, TYPES[kind]) for name, kind in own.items()),
                ("content_hash", pa.large_string()),
                ("reason", pa.large_string()),
                ("detail", pa.large_string()),
                ("notes", pa.list_(pa.large_string())),
                ("carries", CARRIES),
                ("sketch", pa.large_binary()),
            ]
        )
        return cls(place.hold(_batches(iter(probes), schema), schema), schema)

    def __len__(self) -> int:
        return sum(batch.num_rows for batch in self._batches)

    def __iter__(self) -> Iterator[Probe]:
        for batch in self._batches:
            yield from (_probe(row.values()) for row in batch.to_pylist())

    @overload
    def __getitem__(self, at: int) -> Probe: ...
    @overload
    def __getitem__(self, at: slice) -> list[Probe]: ...
    def __getitem__(self, at: int | slice) -> Probe | list[Probe]:
        """Return one probe, or several."""
        if isinstance(at, slice):
            return [self[each] for each in range(*at.indices(len(self)))]
        if not 0 <= at < len(self):
            raise IndexError(at)
        batch, row = self._batches[at // ROWS_AT_ONCE], at % ROWS_AT_ONCE
        return _probe(column[row].as_py() for column in batch.columns)

    def column(self, name: str, places: Ints | None = None) -> pa.ChunkedArray:
        """Return a column: as it lies on disk, or for items in another order.

        Args:
            name: Of a fact, or of a field.
            places: Of the probes, int64; -1 for an item without one.
        """
        chunks = [batch.column(name) for batch in self._batches]
        whole = pa.chunked_array(chunks, self._schema.field(name).type)
        if places is None or np.array_equal(places, np.arange(len(self))):
            return whole
        return whole.take(pa.array(places, mask=places < 0))

    def sorted_by_id(self) -> Iterator[int]:
        """Yield the places of the probes that have an id, equal ones in their order."""
        import pyarrow.compute as pc

        ids = self.column("id")
        order = pc.array_sort_indices(ids, null_placement="at_end").to_numpy()
        yield from map(int, order[: len(ids) - ids.null_count])

    def faults(self) -> Iterator[tuple[int, str, str]]:
        """Yield place, reason and detail of the probes that have a reason."""
        for number, batch in enumerate(self._batches):
            reasons = batch.column("reason")
            for row in np.flatnonzero(reasons.is_valid()):
                detail = batch.column("detail")[row].as_py()
                yield number * ROWS_AT_ONCE + int(row), reasons[row].as_py(), detail

    def notes(self) -> Iterator[tuple[str, ...]]:
        """Yield the notes of each probe."""
        for batch in self._batches:
            yield from map(tuple, batch.column("notes").to_pylist())

    def carries(self) -> Iterator[tuple[int, Sequence[tuple[str, int]]]]:
        """Yield place and kinds of the probes of items that tell of people and places."""
        for number, batch in enumerate(self._batches):
            column = batch.column("carries")
            for row in np.flatnonzero(np.diff(column.offsets.to_numpy())):
                yield number * ROWS_AT_ONCE + int(row), column[row].as_py()

    def sketches(self, places: Iterable[int]) -> Sequence[Piece]:
        """Return the sketches at some places; each is read when it is asked for."""
        return _Sketches(self._batches, np.asarray(places, dtype=np.int64))


class _Sketches(Sequence[Piece]):
    def __init__(self, batches: Sequence[pa.RecordBatch], places: Ints) -> None:
        self._columns = [batch.column("sketch") for batch in batches]
        self._places = places

    def __len__(self) -> int:
        return len(self._places)

    def __getitem__(self, at: Any) -> Any:
        number, row = divmod(int(self._places[at]), ROWS_AT_ONCE)
        return memoryview(self._columns[number][row].as_buffer()).cast("B")


def _batches(probes: Iterator[Probe], schema: pa.Schema) -> Iterator[pa.RecordBatch]:
    unknown = (None,) * (len(schema) - 7)
    while some := list(islice(probes, ROWS_AT_ONCE)):
        rows = [
            (
                each.id,
                *(each.facts or unknown),
                each.content_hash,
                each.reason,
                each.detail,
                each.notes,
                each.carries,
                each.sketch,
            )
            for each in some
        ]
        columns = [
            pa.array(values, field.type)
            for values, field in zip(zip(*rows, strict=True), schema, strict=True)
        ]
        yield pa.record_batch(columns, schema=schema)


def _probe(values: Iterable[Any]) -> Probe:
    digest, *own, content_hash, reason, detail, notes, carries, sketch = values
    is_known = any(each is not None for each in own)
    facts_ = tuple(own) if is_known else ()
    return Probe(digest, facts_, content_hash, sketch, reason, detail, tuple(notes), tuple(carries))
