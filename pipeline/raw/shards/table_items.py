"""Items of tables with an item column: their other columns are what a label file says."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from itertools import count, repeat
from pathlib import Path

import pyarrow as pa

from pipeline.ground.errors import DataError
from pipeline.raw.item import ITEMS, Item, RawItems
from pipeline.raw.item_names import item_noun, item_nouns
from pipeline.raw.labels.label_file import LabelFile, LabelRow, check_rows
from pipeline.raw.labels.text_table import TextTable, as_text
from pipeline.raw.shards.item_table import ItemTable, member_name
from pipeline.raw.shards.shard_names import splits_by_name
from pipeline.store.kept import Kept, cells

_UNLABELED = "-1"
"""What the library `datasets` writes for a class that nobody knows."""

_BOXES = ("objects", "bbox", "bboxes", "boxes", "annotations")
"""Columns that tell a set of boxes."""


def from_tables(raw: Path, files: Sequence[str], *, target: str) -> RawItems:
    """Return an item for every row of the tables.

    Splits come from a column `split`, else from the names of the files.

    Args:
        raw: The data folder.
        files: Tables with an item column, relative to it.
        target: The column with the labels; a table without it has unlabeled items.

    Raises:
        DataError: No table has the column, a cell breaks its rule, or the names of files say the
            splits of some and not of all.
    """
    tables = {file: _Columns(ItemTable(raw / file), target) for file in files}
    first = tables[files[0]]
    if not any(each.has_target for each in tables.values()):
        raise _without_target(first, target)
    names = tuple(dict.fromkeys(name for each in tables.values() for name in each.texts))
    rows = {
        file: check_rows(each.as_label_file(names), target=target) for file, each in tables.items()
    }
    paths = {file: below(file, each) for file, each in rows.items()}
    items, warnings = items_of_shards(raw, rows, paths)
    meta_names = rows[files[0]].meta_names
    unread = sorted({name for each in tables.values() for name in each.unread})
    if unread:
        named = ", ".join(map(repr, unread))
        warnings.append(
            f"columns of the tables that are not read: {named}; the {item_nouns()} are "
            f"those of {first.table.column.name!r}"
        )
    return RawItems(items, "item tables", meta_names, 0, tuple(warnings))


def below(home: str, rows: LabelFile) -> Iterator[str]:
    """Yield the paths of rows as they are seen from the folder above their home."""
    return (f"{home}/{path}" for path in rows.rows.texts("path"))


def items_of_shards(
    raw: Path, rows: Mapping[str, LabelFile], paths: Mapping[str, Iterable[str]]
) -> tuple[Kept[Item], list[str]]:
    """Return the items of shards, and warnings; without given splits, names of shards say them.

    Args:
        raw: The data folder.
        rows: What is known of the items of each shard.
        paths: Of the same items.

    Raises:
        DataError: As `splits_by_name`.
    """
    is_given = any(any(each.rows.texts("split")) for each in rows.values())
    splits, warnings = ({}, []) if is_given else splits_by_name(raw, rows)
    pairs = (
        (path, row, splits.get(shard))
        for shard, each in rows.items()
        for path, row in zip(paths[shard], each.rows, strict=True)
    )
    told = dict.fromkeys(warning for each in rows.values() for warning in each.warnings)
    place = next(iter(rows.values())).rows.place
    items = Kept.keep(map(_item, count(), pairs), ITEMS, place)
    return items, [*told, *warnings]


def _item(number: int, pair: tuple[str, LabelRow, str | None]) -> Item:
    path, row, split = pair
    return Item(
        path=path,
        label=row.label,
        split=row.split or split,
        group=row.group,
        weight=row.weight,
        meta=row.meta,
        row=number,
        where=row.where,
    )


class _Columns:
    """The columns of a table beside its items.

    Args:
        table: It is open.
        target: The column with the labels.
    """

    def __init__(self, table: ItemTable, target: str) -> None:
        self.table = table
        self.has_target = target in table.schema.names
        self._target = target

    @cached_property
    def texts(self) -> dict[str, list[str]]:
        """The cells of the columns that hold text or numbers, by name.

        Raises:
            DataError: The labels are something else, or a number without a name.
        """
        path, names = self.table.path, self.table.class_names
        leaves = [each.name for each in self.table.schema if _is_plain(each.type)]
        if self.has_target and self._target not in leaves:
            kind = self.table.schema.field(self._target).type
            raise DataError(
                path,
                f"must hold one label, as text or a number, for each {item_noun()}",
                field=f"column {self._target!r}",
                got=str(kind),
            )
        found = self.table.read_columns(leaves)
        texts = {name: as_text(path, name, found[name]) for name in leaves}
        for name in set(texts) & set(names):
            texts[name] = _named(path, name, texts[name], names[name])
        own = self._paths()
        renamed = {f"{self.table.column.name}.path": own} if own else {}
        return renamed | {
            ("table.path" if name == "path" else name): cells for name, cells in texts.items()
        }

    @cached_property
    def unread(self) -> list[str]:
        """The columns that hold neither text nor numbers, but for that of the items."""
        plain = {each.name for each in self.table.schema if _is_plain(each.type)}
        return sorted(set(self.table.schema.names) - plain - {self.table.column.name})

    def as_label_file(self, names: Iterable[str]) -> TextTable:
        """Return its rows with the columns `path`, that of the labels, and `names`."""
        numbers = range(self.table.rows)
        columns: dict[str, Iterable[str]] = {"path": map(member_name, numbers)}
        columns |= {name: self.texts.get(name, repeat("")) for name in (self._target, *names)}
        rows = Kept.keep(zip(*columns.values(), strict=False), cells(len(columns)))
        return TextTable(self.table.path, tuple(columns), rows, [row + 1 for row in numbers])

    def _paths(self) -> list[str] | None:
        """Return the paths beside the bytes, where there are any."""
        column = self.table.column
        if not column.has_paths or "path" not in [
            each.name for each in self.table.schema.field(column.name).type
        ]:
            return None
        found = self.table.read_columns([f"{column.name}.path"]).column(0)
        cells = [each.flatten()[0] for each in found.chunks]
        texts = as_text(self.table.path, column.name, pa.chunked_array(cells, pa.string()))
        return texts if any(texts) else None


def _is_plain(kind: pa.DataType) -> bool:
    kind = kind.value_type if pa.types.is_dictionary(kind) else kind
    types = pa.types
    is_text = types.is_string(kind) or types.is_large_string(kind) or types.is_boolean(kind)
    is_number = types.is_integer(kind) or types.is_floating(kind) or types.is_decimal(kind)
    return bool(is_text or is_number or types.is_temporal(kind))


def _named(path: Path, column: str, texts: Sequence[str], names: Sequence[str]) -> list[str]:
    """Turn the numbers of classes into their names."""
    known = {str(number): name for number, name in enumerate(names)} | {"": "", _UNLABELED: ""}
    if set(texts) <= set(names) - set(known):
        return list(texts)  # they are names already
    for row, text in enumerate(texts):
        if text not in known:
            raise DataError(
                f"{path}:{row + 1}",
                f"must be the number of one of the {len(names)} classes that "
                "the table's metadata name",
                field=f"column {column!r}",
                got=text,
                remedy="mend the cell, or the metadata",
            )
    return [known[text] for text in texts]


def _without_target(columns: _Columns, target: str) -> DataError:
    """Return which columns there are, and what to do."""
    table = columns.table
    boxes = [name for name in table.schema.names if name.lower() in _BOXES]
    plain = [each.name for each in table.schema if _is_plain(each.type)]
    likely = [*table.class_names, *(name for name in plain if name not in table.class_names)]
    if boxes and not table.class_names:
        remedy = (
            f"{boxes[0]!r} looks like boxes, and this tool learns one label for a {item_noun()}; "
            "add a column with it"
        )
    elif likely:
        named = ", ".join(map(repr, likely[:10]))
        remedy = (
            f"write data.target: {likely[0]}; the columns are {named}"
            if len(likely) > 1
            else f"write data.target: {likely[0]}"
        )
    else:
        remedy = f"add a column with one label for each {item_noun()}, or a labels.csv"
    return DataError(table.path, f"the column {target!r} is missing", remedy=remedy)
