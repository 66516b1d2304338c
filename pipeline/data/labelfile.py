"""The label file: a row for an item, with path, label and, where wanted, split, group, weight."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pipeline.data.guard import safe_path
from pipeline.data.split_words import SPLIT_NAMES, split_name
from pipeline.data.texttable import TextTable, read_text_table
from pipeline.errors import DataError, ParamsError

OWN_COLUMNS = ("path", "split", "group", "weight")
"""Columns with a meaning of their own; the rest, but for the target, passes through as text."""


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


@dataclass(frozen=True)
class LabelFile:
    """The rows in the file's order, and the names of the columns in `LabelRow.meta`."""

    path: Path
    rows: tuple[LabelRow, ...]
    meta_names: tuple[str, ...]


def read_label_file(path: Path, *, target: str) -> LabelFile:
    """Read and check a label file.

    A weight is 1 where there is none.

    Args:
        path: A .csv or .parquet file.
        target: The column that holds the labels.

    Raises:
        DataError: A column is missing, or a cell breaks its rule; the line is named.
        ParamsError: `target` is a column with another meaning.
    """
    if target in OWN_COLUMNS:
        raise ParamsError(
            "params.yaml", "must be another column than path, split, group and weight",
            field="data.target", got=target,
        )  # fmt: skip
    return check_rows(read_text_table(path), target=target)


def check_rows(table: TextTable, *, target: str) -> LabelFile:
    """Check the rows of a table that stands for a label file, wherever its cells come from.

    Raises:
        DataError: A column is missing, or a cell breaks its rule; the line is named.
    """
    meta_names = tuple(name for name in table.columns if name not in (*OWN_COLUMNS, target))
    return LabelFile(table.path, tuple(_rows(table, target, meta_names)), meta_names)


def _rows(table: TextTable, target: str, meta_names: tuple[str, ...]) -> Iterator[LabelRow]:
    paths, labels = table.column("path"), table.column(target)
    blank = ("",) * len(paths)
    splits, groups, weights = (
        table.column(name) if name in table.columns else blank
        for name in ("split", "group", "weight")
    )
    has_splits = any(cell.strip() for cell in splits)
    places = [table.columns.index(name) for name in meta_names]
    for row, cells in enumerate(table.rows):
        where = table.where(row)
        path, fault = safe_path(paths[row])
        yield LabelRow(
            where=where,
            path=path,
            fault=fault,
            label=labels[row] if labels[row].strip() else None,
            split=_split(where, splits[row]) if has_splits else None,
            group=groups[row].strip() or None,
            weight=_weight(where, weights[row]),
            meta=tuple(cells[place] for place in places),
        )


def _split(where: str, cell: str) -> str:
    name = split_name(cell)
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
