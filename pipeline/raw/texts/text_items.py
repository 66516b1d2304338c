"""Items of tables with a text column: their other columns are what a label file says."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import repeat
from pathlib import Path

from pipeline.ground.errors import DataError, ParamsError
from pipeline.raw.folder import Folder
from pipeline.raw.item import RawItems
from pipeline.raw.labels.columns import OWN_COLUMNS
from pipeline.raw.labels.label_file import LabelFile, check_rows
from pipeline.raw.labels.text_table import TextTable
from pipeline.raw.shards.item_table import member_name
from pipeline.raw.shards.shard_names import split_of_shard
from pipeline.raw.shards.table_items import below, items_of_shards
from pipeline.raw.sidecars import some_counts, some_files
from pipeline.raw.texts.cell_paths import PARQUET, TABLES, UTF8, Column, cells_folder, is_text_table
from pipeline.raw.texts.encoding import encoding_of
from pipeline.raw.texts.missing_column import named
from pipeline.raw.texts.other_columns import other_columns
from pipeline.store.kept import TEXTS, Kept

_TABLE = "table"
"""The column that is added where several tables are one set."""


def from_text_tables(
    raw: Path, labels: Path, folder: Folder, *, text: str, target: str, encoding: str | None
) -> RawItems:
    """Return an item for every row of the tables.

    Splits come from a column `split`, else from the names of the files and folders.

    Args:
        raw: The data folder.
        labels: The folder again, or the one table in it that counts.
        folder: What lies there.
        text: The column with the texts.
        target: The column with the labels; a table without it has unlabeled items.
        encoding: Of the tables; None: as far as their bytes tell it.

    Raises:
        DataError: There is no table, one has no column of texts, none has the labels, a cell breaks
            its rule, or the names of files say the splits of some and not of all.
        ParamsError: `labels` is another place, or a column has two meanings.
    """
    _refuse_params(text, target)
    files = _tables(raw, labels, folder, text)
    columns = {file: _column(raw / file, text, encoding) for file in files}
    tables = {file: other_columns(raw / file, columns[file], folder.place) for file in files}
    if not any(_has(each, target) for each in tables.values()):
        raise _without_target(tables[files[0]], target)
    is_one_set = len(files) > 1 and not any(map(split_of_shard, files))
    names = tuple(dict.fromkeys(name for each in tables.values() for name in each.columns))
    names = tuple(name for name in names if _folded(name) != _folded(target))
    rows: dict[str, LabelFile] = {}
    for file in files:  # a table is let go when its rows were checked
        own_name = file if is_one_set else None
        rows[file] = check_rows(
            _as_label_file(tables.pop(file), names, target, own_name), target=target
        )
    paths = {file: below(cells_folder(file, columns[file]), each) for file, each in rows.items()}
    items, warnings = items_of_shards(raw, rows, paths)
    beside = [path for path in folder.files if path not in rows]
    return RawItems(
        items,
        "text tables",
        rows[files[0]].meta_names,
        len(beside),
        (*warnings, *_found_encodings(columns, encoding), *_left_out(beside)),
    )


def _column(path: Path, text: str, encoding: str | None) -> Column:
    if path.name.lower().endswith(PARQUET):
        return Column(text)
    return Column(text, encoding_of(path, path.name, encoding))


def _found_encodings(columns: Mapping[str, Column], given: str | None) -> list[str]:
    """Return what was found by looking, which may be wrong."""
    if given is not None:
        return []
    return [
        f"{file} is no UTF-8, and is read as {column.encoding}, by its bytes: look at some texts, "
        f"then write data.encoding: {column.encoding}, or the one that it is"
        for file, column in columns.items()
        if column.encoding != UTF8
    ]


def _refuse_params(text: str, target: str) -> None:
    for field, name, others in (
        ("data.target", target, (*OWN_COLUMNS, text)),
        ("data.text", text, OWN_COLUMNS[1:]),
    ):
        if name in others:
            raise ParamsError(
                "params.yaml",
                f"must be another column than {', '.join(others)}",
                field=field,
                got=name,
            )


def _tables(raw: Path, labels: Path, folder: Folder, text: str) -> list[str]:
    """Return the tables that count, relative to the raw folder."""
    if labels.is_dir() or labels == raw:
        if labels.resolve() == raw.resolve():
            if found := [path for path in folder.files if is_text_table(path)]:
                return found
            raise _without_table(raw, folder, text)
    elif labels.is_relative_to(raw) and is_text_table(labels.name):
        own = labels.relative_to(raw).as_posix()
        if own in folder.files:
            return [own]
        raise DataError(labels, "no such file", field="data.labels")
    raise ParamsError(
        "params.yaml",
        "must be data.path, or a table in it, where data.text names a column of tables",
        field="data.labels",
        got=str(labels),
        remedy=f"write {raw}",
    )


def _without_table(raw: Path, folder: Folder, text: str) -> DataError:
    kinds = Counter(Path(path).suffix.lower() or "without a suffix" for path in folder.files)
    there = f"its files: {some_counts(kinds)}" if kinds else "it has no files"
    remedy = f"put a table ({', '.join(TABLES)}) with the column {text!r} there"
    if ".txt" in kinds:
        remedy += "; for items that are text files: data.text: .txt"
    if set(kinds) & {".zip", ".tar", ".tgz", ".gz", ".xz", ".bz2"}:
        remedy += "; unpack archives"
    return DataError(raw, f"has no table of texts; {there}", remedy=remedy)


def _has(table: TextTable, name: str) -> bool:
    return any(_folded(each) == _folded(name) for each in (*table.columns, *table.nested))


def _folded(name: str) -> str:
    return name.strip().casefold()


def _as_label_file(
    table: TextTable, names: Sequence[str], target: str, own_name: str | None
) -> TextTable:
    """Return the table with a column `path`, that of the labels, and the same others as all."""
    place, count = table.rows.place, len(table.lines)
    texts = {name: table.column(name) for name in table.columns}
    blank = Kept.keep(repeat("", count), TEXTS, place)
    columns = {"path": Kept.keep(map(member_name, range(count)), TEXTS, place)}
    alike = next((name for name in texts if _folded(name) == _folded(target)), target)
    columns[target] = texts.get(target, texts.get(alike, blank))
    columns |= {
        ("table.path" if name == "path" else name): texts.get(name, blank) for name in names
    }
    if own_name is not None and _TABLE not in columns:
        columns[_TABLE] = Kept.keep(repeat(own_name, count), TEXTS, place)
    nested = {name: kind for name, kind in table.nested.items() if name not in columns}
    if target in table.nested:
        del columns[target]
        nested[target] = table.nested[target]
    rows = Kept.beside([*columns.values()], place)
    return replace(table, columns=tuple(columns), rows=rows, nested=nested)


def _without_target(table: TextTable, target: str) -> DataError:
    if not table.columns:
        remedy = "add a column with one label for each text"
    else:
        remedy = f"write data.target: {table.columns[0]}, if that holds the labels"
        if len(table.columns) > 1:
            remedy = f"name in data.target the one with the labels: {named(table.columns)}"
    return DataError(table.path, f"the column {target!r} is missing", remedy=remedy)


def _left_out(beside: Sequence[str]) -> list[str]:
    if not beside:
        return []
    kinds = Counter(Path(path).suffix.lower() or path for path in beside)
    return [
        f"{some_files(len(beside))} left out beside the tables: {some_counts(kinds)}; "
        f"first: {beside[0]!r}"
    ]
