"""What was seen of every file, by its bytes: so that the next build decodes only what is new.

One row for each distinct file that could be read, sorted by `id`; what depends on more than the
bytes (a name's extension, a decoder that was stopped) is not in it.
"""

import logging
from collections.abc import Iterable, Mapping
from dataclasses import asdict, fields, replace
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.data import decode, picture, probe, sniff, thumbnail
from pipeline.data.probe import EXTENSION_NOTE, Limits, Probe
from pipeline.earlier import code_digest
from pipeline.errors import IntegrityError, PipelineError
from pipeline.files import read_table, replacing

log = logging.getLogger(__name__)

_VOLATILE = ("decoder_crashed", "decoder_hung")
"""Reasons that another machine, or another moment, might not give."""

_SCHEMA = pa.schema([
    ("id", pa.string()), ("width", pa.int64()), ("height", pa.int64()), ("mode", pa.string()),
    ("format", pa.string()), ("pixel_hash", pa.string()), ("reason", pa.string()),
    ("detail", pa.string()), ("notes", pa.list_(pa.string())), ("thumbnail", pa.binary()),
])  # fmt: skip


def made_from(limits: Limits) -> dict[str, Any]:
    """Give what the probe of a file depends on, besides its bytes: JSON."""
    return {
        "limits": asdict(limits),
        "code": code_digest(decode, picture, probe, sniff, thumbnail, versions=decode.VERSIONS),
    }


def write_probes(path: Path, probes: Iterable[Probe]) -> None:
    """Write the probes of all files that were read."""
    known = {
        each.id: _without_name(each)
        for each in probes
        if each.id is not None and each.reason not in _VOLATILE
    }
    rows = [asdict(known[key]) | {"notes": list(known[key].notes)} for key in sorted(known)]
    with replacing(path) as scratch:
        pq.write_table(pa.Table.from_pylist(rows, _SCHEMA), scratch, compression="zstd")


def known_probes(path: Path | None) -> dict[str, Probe]:
    """Give the probes of the last build, by id; none where there is none, or it is damaged."""
    try:
        return {} if path is None else read_probes(path)
    except PipelineError as error:
        log.warning("clean: the last build cannot be used: %s", error)
        return {}


def read_probes(path: Path) -> dict[str, Probe]:
    """Read what `write_probes` wrote, by id.

    Raises:
        DataError: The file is missing.
        IntegrityError: It is something else.
    """
    table = read_table(path)
    names = [field.name for field in fields(Probe)]
    if sorted(table.columns) != sorted(names):
        raise IntegrityError(path, "must have the columns of a probe", got=list(table.columns))
    return {str(row["id"]): _probe(row) for row in table.to_dict("records")}


def _probe(row: Mapping[Any, Any]) -> Probe:
    known: dict[str, Any] = {
        name: value for name, value in row.items() if name == "notes" or not pd.isna(value)
    }
    for name in ("width", "height"):
        if name in known:
            known[name] = int(known[name])
    return Probe(**known | {"notes": tuple(known["notes"])})


def _without_name(each: Probe) -> Probe:
    return replace(each, notes=tuple(note for note in each.notes if note != EXTENSION_NOTE))
