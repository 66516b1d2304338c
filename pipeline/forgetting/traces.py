"""What to look for afterwards: `.rootstock/forget/<digest>.json`, on this machine alone.

It has what the committed decision must not have, such as paths. The search that finds nothing any
more removes it.
"""

from collections.abc import Collection
from dataclasses import asdict, dataclass
from pathlib import Path

import pandas as pd

from pipeline.forgetting.history import members
from pipeline.ground.errors import PipelineError
from pipeline.ground.files import read_json, write_json
from pipeline.ground.tables import read_table
from pipeline.repo.cache import cache_folder, object_path
from pipeline.repo.state import state_folder
from pipeline.store.store import DIGEST

_INDEX = "index.parquet"


@dataclass(frozen=True)
class Traces:
    """By what an item is found again.

    Attributes:
        paths: Of the manifest.
        rows: SHA-256 of its rows in stores.
        derived: md5 of what followed from it.
    """

    paths: tuple[str, ...] = ()
    rows: tuple[str, ...] = ()
    derived: tuple[str, ...] = ()

    def joined(self, other: "Traces") -> "Traces":
        """Return the traces of both."""
        pairs = zip(asdict(self).items(), asdict(other).values(), strict=True)
        return Traces(**{name: tuple(sorted({*mine, *more})) for (name, mine), more in pairs})


def traces_file(name: str) -> Path:
    """Return where the traces of a decision are kept."""
    return state_folder() / "forget" / name


def keep_traces(name: str, traces: Traces) -> None:
    """Keep traces beside those that are known already."""
    write_json(traces_file(name), asdict(read_traces(name).joined(traces)))


def read_traces(name: str) -> Traces:
    """Return the traces of a decision; none where this machine has not kept any."""
    path = traces_file(name)
    if not path.exists():
        return Traces()
    return Traces(**{key: tuple(map(str, each)) for key, each in read_json(path).items()})


def store_rows(root: Path, derived: Collection[str], ids: Collection[str]) -> set[str]:
    """Return the digests of the rows that items have in the stores of DVC's cache."""
    cache, found = cache_folder(root), set[str]()
    for md5, path in members(cache, derived).items():
        if Path(path).name == _INDEX:
            try:
                table: pd.DataFrame = read_table(object_path(cache, md5))
            except PipelineError:
                continue
            if {"id", DIGEST} <= set(table.columns):
                found |= set(table[DIGEST][table["id"].isin(ids)].dropna())
    return found
