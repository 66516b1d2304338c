"""Items of a raw folder by the rows of a label file."""

import unicodedata
from collections.abc import Mapping
from dataclasses import replace

from pipeline.data.folder import Folder, is_ignored
from pipeline.data.item import Item, RawItems
from pipeline.data.labelfile import LabelFile, LabelRow
from pipeline.errors import DataError


def from_label_file(labels: LabelFile, folder: Folder) -> RawItems:
    """Return an item for every row, and one for every file without a row.

    Raises:
        DataError: Two rows contradict each other, or a row names no single file.
    """
    on_disk = _by_nfc(folder)
    warnings: list[str] = []
    repeated: list[str] = []
    items: dict[str, Item] = {}
    for number, row in enumerate(labels.rows):
        item = _from_row(row, number, on_disk)
        earlier = items.get(item.path)
        if earlier is not None:
            _refuse_contradiction(earlier, item)
        if earlier is None:
            items[item.path] = item
        elif earlier.label == item.label:
            repeated.append(f"{row.where}: {item.path!r} again, as in {earlier.where}")
        else:
            items[item.path] = _disagreeing(earlier, item)
    if repeated:
        warnings.append(f"{repeated[0]}; {len(repeated)} rows are such repeats, and do not count")
    without_row = [path for path in folder.files if path not in items]
    if without_row:
        warnings.append(
            f"{len(without_row)} of {len(folder.files)} files have no row in {labels.path.name}; "
            f"first: {without_row[0]!r}"
        )
    items |= {path: Item(path, where=str(labels.path)) for path in without_row}
    return RawItems(tuple(items.values()), "label file", labels.meta_names, 0, tuple(warnings))


def _from_row(row: LabelRow, number: int, on_disk: Mapping[str, str]) -> Item:
    path = on_disk.get(row.path, on_disk.get(unicodedata.normalize("NFC", row.path)))
    if path == "" and not row.fault:
        raise DataError(
            row.where, "must name one file, and several archives have it", field="column 'path'",
            got=row.path, remedy="write the archive before it: a.tar/cat/1.jpg",
        )  # fmt: skip
    reason = "unsafe_path" if row.fault else None if path else "missing_file"
    is_hidden = any(map(is_ignored, row.path.split("/")))
    absent = "hidden files are left alone" if is_hidden else "no such file"
    return Item(
        path=row.path if row.fault or path is None else path,
        label=row.label,
        split=row.split,
        group=row.group,
        weight=row.weight,
        meta=row.meta,
        row=number,
        where=row.where,
        reason=reason,
        detail=f"{row.where}: {row.fault or absent}" if reason else "",
    )


def _refuse_contradiction(first: Item, second: Item) -> None:
    """Refuse two rows that put one file into two places: which one counts would be chance."""
    for name in ("split", "group", "weight"):
        one, other = getattr(first, name), getattr(second, name)
        if one != other:
            raise DataError(
                second.where, f"must not contradict {first.where}, which names {first.path!r} too, "
                f"with {one!r}", field=f"column {name!r}", got=other,
                remedy="remove one of the two rows",
            )  # fmt: skip


def _disagreeing(first: Item, second: Item) -> Item:
    """Keep one item for two rows that disagree; an older reason stands."""
    detail = f"{first.label!r} in {first.where}, {second.label!r} in {second.where}"
    return first if first.reason else replace(first, reason="conflict", detail=detail)


def _by_nfc(folder: Folder) -> dict[str, str]:
    """Map all that a label file may write, composed too, to the paths of files.

    A member's path without its archive is mapped to nothing (an empty path) where it is another
    file's too.
    """
    inner: dict[str, str] = {}
    for path in folder.files if folder.archives else ():
        archive = folder.archive_of(path)
        if archive is not None:
            name = path[len(archive) + 1 :]
            inner[name] = "" if name in inner else path
    whole = {path: path for path in folder.files}
    known = inner | whole
    composed = {unicodedata.normalize("NFC", name): path for name, path in known.items()}
    return composed | known
