"""The manifest: one row for every raw item, kept or not, and why not.

Text columns are strings with missing values where there is nothing to say; `weight` is float64; the
numbers among the facts of a modality are nullable integers. Rows are sorted by `path`: equal
content, equal bytes.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pipeline.ground.errors import IntegrityError
from pipeline.ground.tables import reading_parquet, write_table
from pipeline.modality.facts import facts, modality_of
from pipeline.modality.table import MODALITIES

COLUMNS = ("path", "id", "label", "split", "group", "weight", "status", "reason")
"""In this order; after them the facts of the modality, then the label file's other columns as
`meta.<name>`."""

META = "meta."
"""The prefix of columns that pass through from the label file as text."""

KEPT, QUARANTINED, DROPPED = "kept", "quarantined", "dropped"
STATUSES = (KEPT, QUARANTINED, DROPPED)
SPLITS = ("train", "val", "test")
FORGOTTEN = "forgotten"
"""The reason of what must not even be shown."""

REASONS = {
    "unsafe_path": "the path leaves the data folder, or names no regular file; it was not opened",
    "missing_file": "the label file names a file that is not there",
    "unreadable": "the operating system refuses to read the file",
    "empty": "the file has no bytes",
    "decoder_crashed": "the decoder crashed, or took more memory than any item may need",
    "decoder_hung": "the decoder did not come to an end in a time that suffices for any item",
    "no_label": "there is no label, and `clean.missing_label` does not give one",
    "conflict": "the same item stands with different labels",
    "duplicate": "the same item with the same label stands at another path, which is kept",
    "near_duplicate_of": "nearly the same item stands in a more protected split",
    "untrained": "no item of its class falls in train, and `split.small_classes` is drop",
    "review": "a person decided so, in the folder review/",
    FORGOTTEN: "it was to be forgotten, by a decision in review/forgotten/, and came back",
}
"""Codes that `reason` can hold for items of every modality, and what each says."""

TEXT = pd.StringDtype(na_value=np.nan)
"""The type of text columns: strings, or NaN."""

_NULLABLE_INT = pd.Int64Dtype()


def reasons(modality: str) -> dict[str, str]:
    """Return every code that `reason` can hold for items of a modality, and what it says."""
    return {**REASONS, **facts(modality).reasons}


def all_reasons() -> dict[str, str]:
    """Return the same of all modalities; of a code that several say, what the first one says."""
    return {code: text for each in reversed(MODALITIES) for code, text in reasons(each).items()}


def column_types(modality: str) -> dict[str, Any]:
    """Return the columns of a manifest in their order, and their types; without `meta.<name>`."""
    own = {
        name: _NULLABLE_INT if kind is int else TEXT
        for name, kind in facts(modality).columns.items()
    }
    return {**dict.fromkeys(COLUMNS, TEXT), "weight": np.dtype(np.float64), **own}


def read_manifest(path: Path) -> pd.DataFrame:
    """Read and check a manifest.

    Raises:
        DataError: The file is missing.
        IntegrityError: It is not a manifest as this version writes it.
    """
    return pd.concat(list(_parts(path)), ignore_index=True)


def read_kept(path: Path) -> pd.DataFrame:
    """Read and check a manifest; return its kept rows, renumbered from 0. The others never wait.

    Raises:
        DataError: As `read_manifest`.
        IntegrityError: Likewise.
    """
    return pd.concat([part[part["status"] == KEPT] for part in _parts(path)], ignore_index=True)


def _parts(path: Path) -> Iterator[pd.DataFrame]:
    """Yield the rows of a manifest, group by group, each checked."""
    with reading_parquet(path), pq.ParquetFile(path) as file:
        groups = map(file.read_row_group, range(file.num_row_groups))
        last = ""
        for group in groups if file.num_row_groups else [file.schema_arrow.empty_table()]:
            part = group.to_pandas()
            try:
                validate(part)
                if last and len(part) and not part["path"].iloc[0] > last:
                    raise ValueError(f"paths must rise; first broken by {part['path'].iloc[0]!r}")
            except ValueError as error:
                raise IntegrityError(path, str(error), remedy="run `dvc repro clean`") from error
            last = part["path"].iloc[-1] if len(part) else last
            yield part


def write_manifest(path: Path, table: pd.DataFrame) -> None:
    """Write a manifest, sorted by path, with the column types of this module.

    Raises:
        ValueError: The table breaks a rule of the manifest.
    """
    typed = typed_manifest(table)
    validate(typed)
    write_table(path, typed)


def typed_manifest(table: pd.DataFrame) -> pd.DataFrame:
    """Return the manifest's columns in their order and types, rows sorted by path."""
    types = column_types(modality_of(table.columns))
    types |= {name: TEXT for name in table.columns if name.startswith(META)}
    return sorted_by_path(table[list(types)]).reset_index(drop=True).astype(types)


def sorted_by_path(table: pd.DataFrame) -> pd.DataFrame:
    """Return the rows in the order of their paths; nothing is copied where they have it."""
    return table if _are_rising(table["path"]) else table.sort_values("path", kind="stable")


def _are_rising(paths: pd.Series) -> bool:
    """Return whether each path stands behind the one before it, so that none is there twice."""
    column = pa.array(paths, pa.large_string(), from_pandas=True)
    rising = pc.all(pc.less(column[:-1], column[1:]), min_count=0)
    return column.null_count == 0 and bool(rising.as_py())


def validate(table: pd.DataFrame) -> None:
    """Check the rules that every reader relies on.

    Raises:
        ValueError: A column is missing or unknown, a path is there twice, or a row contradicts its
            status.
    """
    if tuple(table.columns[: len(COLUMNS)]) != COLUMNS:
        raise ValueError(f"the columns must begin with {', '.join(COLUMNS)}")
    modality = modality_of(table.columns)
    names, own = list(column_types(modality)), list(facts(modality).columns)
    if list(table.columns[: len(names)]) != names:
        raise ValueError(f"columns after {COLUMNS[-1]!r} must be {', '.join(own)}")
    foreign = [name for name in table.columns[len(names) :] if not name.startswith(META)]
    if foreign:
        raise ValueError(f"columns after {names[-1]!r} must be {META}<name>, got {foreign[0]!r}")
    is_kept = table["status"] == KEPT
    has_split = table["split"].isin(SPLITS)
    rules = (
        (_are_alone(table["path"]), "paths must be unique"),
        (table["status"].isin(STATUSES), f"status must be one of {STATUSES}"),
        (is_kept == table["reason"].isna(), "a row must have a reason, or be kept"),
        (table["reason"].isna() | table["reason"].isin(list(reasons(modality))), "unknown reason"),
        (is_kept == has_split, "kept rows, and no others, must have a split"),
        (
            ~is_kept | table[["id", "label", *own]].notna().all(axis=1),
            "a kept row must be complete",
        ),
        (np.isfinite(table["weight"]) & (table["weight"] >= 0), "weights must be at least 0"),
    )
    for holds, rule in rules:
        if not holds.all():
            first = table["path"][~holds].iloc[0]
            raise ValueError(f"{rule}; first broken by {first!r}")


def _are_alone(paths: pd.Series) -> pd.Series:
    if _are_rising(paths):
        return pd.Series(True, index=paths.index)
    return paths.notna() & ~paths.duplicated()


def group_names(rows: pd.DataFrame) -> pd.Series:
    """Return the group of each row of a manifest or an index; an item without one is its own."""
    return rows["group"].where(rows["group"].notna(), "item\0" + rows["path"])


def group_numbers(rows: pd.DataFrame) -> npt.NDArray[np.int64]:
    """Return the number of each row's group, from 0 in the order in which groups come."""
    return pd.factorize(group_names(rows))[0].astype(np.int64)


def class_names(labels: pd.Series) -> tuple[str, ...]:
    """Return the classes in the order of their output numbers: sorted by code point."""
    return tuple(sorted(set(labels.dropna())))
