"""What was seen of every file, by its bytes: so that the next build decodes only what is new.

One row for each distinct file that could be read, sorted by `id`; what depends on more than the
bytes (a name's extension, a decoder that was stopped) is not in it.
"""

import logging
import sys
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.clean.kept_probes import CARRIES, ROWS_AT_ONCE, KeptProbes
from pipeline.ground.errors import IntegrityError, PipelineError
from pipeline.ground.files import replacing
from pipeline.ground.tables import reading_parquet
from pipeline.modality.facts import facts
from pipeline.modality.reading import reader
from pipeline.modality.types.params import CleanParams
from pipeline.modality.types.probe import Probe
from pipeline.store.spill import MEMORY, Piece, Place

log = logging.getLogger(__name__)

_VOLATILE = ("decoder_crashed", "decoder_hung")
"""Reasons that another machine, or another moment, might not give."""


def _schema(modality: str) -> pa.Schema:
    of = facts(modality)
    types = {int: pa.int64(), str: pa.string()}
    return pa.schema(
        [
            ("id", pa.string()),
            *((name, types[kind]) for name, kind in of.columns.items()),
            (of.content_hash, pa.string()),
            ("reason", pa.string()),
            ("detail", pa.string()),
            ("notes", pa.list_(pa.string())),
            ("carries", CARRIES),
            (of.sketch, pa.binary()),
        ]
    )


def made_from(modality: str, params: CleanParams) -> dict[str, Any]:
    """Return what the probe of a file depends on, besides its bytes: JSON."""
    part = reader(modality)
    return {"limits": part.look(params).to_dict(), "code": part.code()}


def write_probes(path: Path, probes: Iterable[Probe], modality: str) -> None:
    """Write the probes of all files that were read."""
    schema, names = _schema(modality), reader(modality).name_notes
    if not isinstance(probes, KeptProbes):
        probes = KeptProbes.keep(probes, modality, MEMORY)
    kept = _distinct(probes)
    with replacing(path) as scratch, pq.ParquetWriter(scratch, schema, compression="zstd") as out:
        while rows := list(islice(kept, ROWS_AT_ONCE)):
            out.write_table(_table(rows, schema, names))


def _distinct(probes: KeptProbes) -> Iterator[Probe]:
    """Yield one probe of each id, by their order: of equal ones the last that can be trusted."""
    last: Probe | None = None
    for each in map(probes.__getitem__, probes.sorted_by_id()):
        if each.reason in _VOLATILE:
            continue
        if last is not None and last.id != each.id:
            yield last
        last = each
    if last is not None:
        yield last


@dataclass(frozen=True)
class Known:
    """What the last build saw, and where what this one sees is kept.

    Attributes:
        probes: By id.
        spill: Where sketches wait.
    """

    probes: Mapping[str, Probe] = field(default_factory=dict)
    spill: Place = MEMORY


def known_probes(path: Path | None, modality: str, spill: Place = MEMORY) -> Known:
    """Return the probes of the last build; none where there is none, or it is damaged."""
    try:
        return Known({} if path is None else read_probes(path, modality, spill), spill)
    except PipelineError as error:
        log.warning("clean: the last build cannot be used: %s", error)
        return Known({}, spill)


def read_probes(path: Path, modality: str, spill: Place = MEMORY) -> dict[str, Probe]:
    """Read what `write_probes` wrote, by id.

    Args:
        path: The file.
        modality: Of the items.
        spill: Where sketches wait.

    Raises:
        DataError: The file is missing.
        IntegrityError: It is something else.
        OSError: The disk is full.
    """
    return {str(probe.id): slim(probe, spill) for probe in _read(path, _schema(modality))}


def _read(path: Path, schema: pa.Schema) -> Iterator[Probe]:
    with reading_parquet(path), pq.ParquetFile(path) as table:
        names = table.schema_arrow.names
        if names != schema.names:
            raise IntegrityError(path, "must have the columns of a probe", got=names)
        for batch in table.iter_batches(ROWS_AT_ONCE):
            for row in batch.to_pylist():
                digest, *own, content_hash, reason, detail, notes, carries, sketch = row.values()
                is_whole = reason is None
                yield Probe(
                    id=digest,
                    facts=tuple(own) if is_whole else (),
                    content_hash=content_hash,
                    sketch=sketch,
                    reason=reason,
                    detail=detail,
                    notes=tuple(notes),
                    carries=tuple(carries),
                )


def slim(probe: Probe, spill: Place) -> Probe:
    """Return the same probe in less memory: its sketch waits elsewhere, words are shared."""
    own = (sys.intern(each) if isinstance(each, str) else each for each in probe.facts)
    return replace(probe, facts=tuple(own), sketch=_kept(probe.sketch, spill))


def _kept(piece: Piece | None, spill: Place) -> Piece | None:
    return spill.keep(piece) if isinstance(piece, bytes) else piece


def _table(probes: Sequence[Probe], schema: pa.Schema, name_notes: Collection[str]) -> pa.Table:
    """Lay probes into columns; notes that depend on an item's name are left out."""
    unknown = (None,) * (len(schema) - 7)
    rows = [
        (
            each.id,
            *(each.facts or unknown),
            each.content_hash,
            each.reason,
            each.detail,
            [note for note in each.notes if note not in name_notes],
            each.carries,
            each.sketch,
        )
        for each in probes
    ]
    named = [dict(zip(schema.names, row, strict=True)) for row in rows]
    return pa.Table.from_pylist(named, schema)
