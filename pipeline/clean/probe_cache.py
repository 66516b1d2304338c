"""What was seen of every file, by its bytes: so that the next build decodes only what is new.

One row for each distinct file that could be read, sorted by `id`; what depends on more than the
bytes (a name's extension, a decoder that was stopped) is not in it.
"""

import logging
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.ground.errors import IntegrityError, PipelineError
from pipeline.ground.files import replacing
from pipeline.ground.tables import reading_parquet
from pipeline.picture.read import decode, deep, probe, thumbnail, tiff
from pipeline.picture.read import spec as picture
from pipeline.picture.read.probe import EXTENSION_NOTE, Limits, Probe
from pipeline.raw import sniff
from pipeline.store.previous_build import code_digest
from pipeline.store.spill import MEMORY, Piece, Place

log = logging.getLogger(__name__)

_VOLATILE = ("decoder_crashed", "decoder_hung")
"""Reasons that another machine, or another moment, might not give."""

_ROWS_AT_ONCE = 4096

_SCHEMA = pa.schema(
    [
        ("id", pa.string()),
        ("width", pa.int64()),
        ("height", pa.int64()),
        ("mode", pa.string()),
        ("format", pa.string()),
        ("pixel_hash", pa.string()),
        ("reason", pa.string()),
        ("detail", pa.string()),
        ("notes", pa.list_(pa.string())),
        ("thumbnail", pa.binary()),
    ]
)


def made_from(limits: Limits) -> dict[str, Any]:
    """Return what the probe of a file depends on, besides its bytes: JSON."""
    return {
        "limits": asdict(limits),
        "code": code_digest(
            decode, deep, picture, probe, sniff, thumbnail, tiff, versions=decode.VERSIONS
        ),
    }


def write_probes(path: Path, probes: Iterable[Probe]) -> None:
    """Write the probes of all files that were read."""
    known = {
        each.id: each for each in probes if each.id is not None and each.reason not in _VOLATILE
    }
    order = sorted(known)
    with replacing(path) as scratch, pq.ParquetWriter(scratch, _SCHEMA, compression="zstd") as out:
        for start in range(0, len(order), _ROWS_AT_ONCE):
            part = [_row(known[key]) for key in order[start : start + _ROWS_AT_ONCE]]
            out.write_table(pa.Table.from_pylist(part, _SCHEMA))


@dataclass(frozen=True)
class Known:
    """What the last build saw, and where what this one sees is kept.

    Attributes:
        probes: By id.
        spill: Where thumbnails wait.
    """

    probes: Mapping[str, Probe] = field(default_factory=dict)
    spill: Place = MEMORY


def known_probes(path: Path | None, spill: Place = MEMORY) -> Known:
    """Return the probes of the last build; none where there is none, or it is damaged."""
    try:
        return Known({} if path is None else read_probes(path, spill), spill)
    except PipelineError as error:
        log.warning("clean: the last build cannot be used: %s", error)
        return Known({}, spill)


def read_probes(path: Path, spill: Place = MEMORY) -> dict[str, Probe]:
    """Read what `write_probes` wrote, by id.

    Args:
        path: The file.
        spill: Where thumbnails wait.

    Raises:
        DataError: The file is missing.
        IntegrityError: It is something else.
        OSError: The disk is full.
    """
    return {str(probe.id): slim(probe, spill) for probe in _read(path)}


def _read(path: Path) -> Iterator[Probe]:
    with reading_parquet(path), pq.ParquetFile(path) as table:
        names = table.schema_arrow.names
        if names != _SCHEMA.names:
            raise IntegrityError(path, "must have the columns of a probe", got=names)
        for batch in table.iter_batches(_ROWS_AT_ONCE):
            for row in batch.to_pylist():
                yield Probe(**row | {"notes": tuple(row["notes"])})


def slim(probe: Probe, spill: Place) -> Probe:
    """Return the same probe in less memory: its thumbnail waits elsewhere, names are shared."""
    return replace(
        probe,
        mode=probe.mode and sys.intern(probe.mode),
        format=probe.format and sys.intern(probe.format),
        thumbnail=_kept(probe.thumbnail, spill),
    )


def _kept(piece: Piece | None, spill: Place) -> Piece | None:
    return spill.keep(piece) if isinstance(piece, bytes) else piece


def _row(probe: Probe) -> dict[str, Any]:
    row = {name: getattr(probe, name) for name in _SCHEMA.names}
    return row | {"notes": [note for note in probe.notes if note != EXTENSION_NOTE]}
