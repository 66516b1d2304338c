"""The label file: a row for an item, with path, label and, where wanted, split, group, weight."""

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields, replace
from itertools import repeat
from operator import attrgetter
from pathlib import Path
from typing import Any

import pyarrow as pa

from pipeline.ground.errors import DataError, ParamsError
from pipeline.raw.labels.columns import OWN_COLUMNS, LabelColumns, find_columns
from pipeline.raw.labels.missing_words import is_placeholder
from pipeline.raw.labels.path_matching import FileNames
from pipeline.raw.labels.text_table import TextTable, read_text_table
from pipeline.raw.layout.split_words import SPLIT_NAMES, split_in_column, split_of_folder
from pipeline.raw.unsafe_entries import safe_path
from pipeline.store.kept import Kept, Kind
from pipeline.store.spill import MEMORY, Place

NO_NAMES = FileNames()
_SHOWN = 3


@dataclass(frozen=True, slots=True)
class LabelRow:
    """One row of the label file, checked by itself; empty cells are None."""

    where: str
    path: str
    fault: str | None
    """What makes the path unsafe; it is then as it was written."""
    label: str | None
    split: str | None
    group: str | None
    weight: float
    meta: tuple[str, ...]


def _row(*values: Any) -> LabelRow:
    where, path, fault, label, split, group, weight, meta = values
    return LabelRow(where, path, fault, label, split, group, weight, tuple(meta))


_NAMES = [each.name for each in fields(LabelRow)]
_TYPES = {"weight": pa.float64(), "meta": pa.list_(pa.large_string())}
_ROWS: Kind[LabelRow] = Kind(
    pa.schema([(name, _TYPES.get(name, pa.large_string())) for name in _NAMES]),
    attrgetter(*_NAMES),
    _row,
)


@dataclass(frozen=True)
class LabelFile:
    """The rows in the file's order, and the names of the columns in `LabelRow.meta`."""

    path: Path
    rows: Kept[LabelRow]
    meta_names: tuple[str, ...]
    warnings: tuple[str, ...] = ()


def read_label_file(
    path: Path, *, target: str, names: FileNames = NO_NAMES, place: Place = MEMORY
) -> LabelFile:
    """Read and check a label file.

    A weight is 1 where there is none. Rows that name no file are left out; a group that stands for
    "not known" is none.

    Args:
        path: A table of any form.
        target: The column that holds the labels.
        names: Of the files that the rows may name.
        place: Where the rows wait.

    Raises:
        DataError: A column is missing, or a cell breaks its rule; the line is named.
        ParamsError: `target` is a column with another meaning.
    """
    if target in OWN_COLUMNS:
        raise ParamsError(
            "params.yaml",
            "must be another column than path, split, group and weight",
            field="data.target",
            got=target,
        )
    table = read_text_table(path, any_form=True, place=place)
    return check_rows(table, target=target, names=names)


def check_rows(table: TextTable, *, target: str, names: FileNames = NO_NAMES) -> LabelFile:
    """Check the rows of a table that stands for a label file, wherever its cells come from.

    Raises:
        DataError: A column is missing, or a cell breaks its rule; the line is named.
    """
    columns = find_columns(table, target, names)
    rows = Kept.keep(_rows(table, columns), _ROWS, table.rows.place)
    if table.lines and not rows:
        raise DataError(table.path, f"the column {columns.own['path']!r} is empty in every row")
    warnings = (
        *table.notes,
        *columns.notes,
        *_nameless(table, columns),
        *_lost_groups(table, columns),
    )
    return LabelFile(table.path, rows, columns.meta, warnings)


def merge_label_files(raw: Path, files: Sequence[LabelFile]) -> LabelFile:
    """Make one of several label files, each for the folder in which it lies.

    A folder that is named as a split is the split of its rows, unless the file says it.
    """
    meta = tuple(dict.fromkeys(name for each in files for name in each.meta_names))
    merged = (row for file in files for row in _from_home(raw, file, meta))
    rows = Kept.keep(merged, _ROWS, files[0].rows.place)
    warnings = tuple(dict.fromkeys(warning for file in files for warning in file.warnings))
    return LabelFile(raw / "*" / files[0].path.name, rows, meta, warnings)


def _from_home(raw: Path, file: LabelFile, meta: Sequence[str]) -> Iterator[LabelRow]:
    """Yield the rows of a label file as one in the raw folder has them."""
    home = file.path.parent.relative_to(raw)
    split = next(filter(None, map(split_of_folder, home.parts)), None)
    places = [file.meta_names.index(name) if name in file.meta_names else None for name in meta]
    for row in file.rows:
        yield replace(
            row,
            path=row.path if row.fault else (home / row.path).as_posix(),
            split=row.split or split,
            meta=tuple("" if place is None else row.meta[place] for place in places),
        )


def _rows(table: TextTable, columns: LabelColumns) -> Iterator[LabelRow]:
    own = {name: table.column(column) for name, column in columns.own.items()}
    has_splits = any(map(str.strip, own.get("split", ())))
    cells = zip(
        own["path"],
        columns.labels,
        *(own.get(name, repeat("")) for name in ("split", "group", "weight")),
        *map(table.column, columns.meta),
        strict=False,
    )
    for row, (text, label, split, group, weight, *meta) in enumerate(cells):
        if not text:
            continue
        where = table.where(row)
        path, fault = safe_path(text)
        yield LabelRow(
            where=where,
            path=path,
            fault=fault,
            label=label or None,
            split=_split(where, split) if has_splits else None,
            group=None if not group or is_placeholder(group) else group,
            weight=_weight(where, weight),
            meta=tuple(meta),
        )


def _nameless(table: TextTable, columns: LabelColumns) -> list[str]:
    lost = [row for row, path in enumerate(table.column(columns.own["path"])) if not path]
    if not lost:
        return []
    return [f"{len(lost)} rows name no file, and are left out; first: {table.where(lost[0])}"]


def _lost_groups(table: TextTable, columns: LabelColumns) -> list[str]:
    if "group" not in columns.own:
        return []
    groups = table.column(columns.own["group"])
    counts = Counter(group for group in groups if group and is_placeholder(group))
    if not counts:
        return []
    named = ", ".join(f"{word!r} {n}" for word, n in counts.most_common(_SHOWN))
    return [
        f"{counts.total()} of {len(groups)} rows have a group that stands for 'not known' "
        f"({named}): each of them counts alone, as with an empty cell"
    ]


def _split(where: str, cell: str) -> str:
    name = split_in_column(cell)
    if name is None:
        raise DataError(
            where,
            f"must be one of {', '.join(SPLIT_NAMES)} in every row",
            field="column 'split'",
            got=cell,
            remedy="or leave the whole column out, for a split by `split.seed`",
        )
    return name


def _weight(where: str, cell: str) -> float:
    try:
        weight = float(cell) if cell.strip() else 1.0
    except ValueError:
        weight = math.nan
    if not (math.isfinite(weight) and weight >= 0.0):
        hint = "write a decimal point, not a comma" if "," in cell else "1 is the usual weight"
        raise DataError(
            where, "must be a number of at least 0", field="column 'weight'", got=cell, remedy=hint
        )
    return weight
