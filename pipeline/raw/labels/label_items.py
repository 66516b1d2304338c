"""Items of a raw folder by the rows of a label file."""

import shlex
import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from pipeline.ground.errors import DataError
from pipeline.raw.archive.archive import SUFFIXES
from pipeline.raw.folder import Folder, is_ignored
from pipeline.raw.item import Item, RawItems
from pipeline.raw.labels.label_file import LabelFile, LabelRow
from pipeline.raw.labels.path_matching import Written, home_of, match_paths
from pipeline.raw.layout.split_words import split_of_folder

_LARGE_GROUP = 1 / 3
"""Share of the items in one group from which there is a warning, if these are so many:"""

_LARGE_GROUP_ITEMS = 10


def from_label_file(labels: LabelFile, folder: Folder, raw: Path) -> RawItems:
    """Return an item for every row, and one for every file without a row.

    Raises:
        DataError: Two rows contradict each other, a row names no single file, or none names any.
    """
    paths, told = _find_files(labels, folder, raw)
    repeated: list[str] = []
    items: dict[str, Item] = {}
    for number, (row, path) in enumerate(zip(labels.rows, paths, strict=True)):
        item = _from_row(row, number, path)
        earlier = items.get(item.path)
        if earlier is not None:
            _refuse_contradiction(earlier, item)
        if earlier is None:
            items[item.path] = item
        elif earlier.label == item.label:
            repeated.append(f"{row.where}: {item.path!r} again, as in {earlier.where}")
        else:
            items[item.path] = _disagreeing(earlier, item)
    warnings = [*labels.warnings, *told]
    if repeated:
        warnings.append(f"{repeated[0]}; {len(repeated)} rows are such repeats, and do not count")
    warnings += _conflicts(items.values())
    warnings += _large_groups(items.values())
    warnings += _split_folders(items.values())
    without_row = [path for path in folder.files if path not in items]
    unlabeled = _unlabeled_folders(without_row, items.values())
    for top, files in unlabeled.items():
        warnings.append(
            f"{len(files)} files of {top!r} have no row in {labels.path.name}: without a label, "
            f"left out; score them with `{shlex.join(['rootstock', 'predict', str(raw / top)])}`"
        )
    left_out = {path for files in unlabeled.values() for path in files}
    without_row = [path for path in without_row if path not in left_out]
    if without_row:
        warnings.append(
            f"{len(without_row)} of {len(folder.files)} files have no row in {labels.path.name}; "
            f"first: {without_row[0]!r}"
        )
    items |= {path: Item(path, where=str(labels.path)) for path in without_row}
    return RawItems(
        tuple(items.values()), "label file", labels.meta_names, len(left_out), tuple(warnings)
    )


def _unlabeled_folders(without_row: Iterable[str], items: Iterable[Item]) -> dict[str, list[str]]:
    """Return the files of folders at the top that are named as a val or test, and have no row."""
    listed = {item.path.partition("/")[0] for item in items}
    found: dict[str, list[str]] = {}
    for path in without_row:
        top, _, inner = path.partition("/")
        name = Path(top).stem if top.lower().endswith(SUFFIXES) else top
        if inner and top not in listed and split_of_folder(name) in ("val", "test"):
            found.setdefault(top, []).append(path)
    return found


def _find_files(labels: LabelFile, folder: Folder, raw: Path) -> tuple[list[str | None], list[str]]:
    """Return the file of each row, or None; and what to tell of rows that name none as written.

    Raises:
        DataError: A row names a file of several archives, or no row names any file.
    """
    rows, on_disk = labels.rows, _by_nfc(folder)
    paths = [_as_written(row, on_disk) for row in rows]
    unsafe = {path for path, _, _ in folder.unsafe}
    lost = [
        at
        for at, path in enumerate(paths)
        if path is None and rows[at].path not in unsafe and not _is_hidden(rows[at])
    ]
    if not lost:
        return paths, []
    first = rows[lost[0]]
    matched = match_paths(_written(labels, lost, raw), folder.files, {*filter(None, paths)})
    for at, file in zip(lost, matched.files, strict=False):
        paths[at] = file
    if not any(paths):
        found = f"{matched.told}; mend the paths, or the folder" if matched.told else None
        raise DataError(
            labels.path,
            f"none of its {len(rows)} paths names a file in {raw}; first: "
            f"{first.path!r} ({first.where})",
            remedy=found or f"write paths relative to {raw}, as {folder.files[0]!r} is",
        )
    if not matched.told:
        return paths, []
    file = paths[lost[0]]
    return paths, [
        f"{len(lost)} of {len(rows)} paths in {labels.path.name} name no file as they are written; "
        f"{matched.told}; first: {first.path!r} ({first.where})" + (f" is {file!r}" if file else "")
    ]


def _written(labels: LabelFile, lost: Sequence[int], raw: Path) -> Written:
    rows = [labels.rows[at] for at in lost]
    cells = {
        "label": [row.label or "" for row in rows],
        "split": [row.split or "" for row in rows],
        "group": [row.group or "" for row in rows],
    } | {name: [row.meta[at] for row in rows] for at, name in enumerate(labels.meta_names)}
    return Written(
        texts=[row.path for row in rows],
        share=len(lost) / len(labels.rows),
        beside={name: column for name, column in cells.items() if any(column)},
        home=home_of(labels.path, raw),
        stem=labels.path.stem,
    )


def _as_written(row: LabelRow, on_disk: Mapping[str, str]) -> str | None:
    if row.fault:
        return None
    path = on_disk.get(row.path, on_disk.get(unicodedata.normalize("NFC", row.path)))
    if path == "":
        raise DataError(
            row.where,
            "must name one file, and several archives have it",
            field="column 'path'",
            got=row.path,
            remedy="write the archive before it: a.tar/cat/1.jpg",
        )
    return path


def _from_row(row: LabelRow, number: int, path: str | None) -> Item:
    reason = None if path else "unsafe_path" if row.fault else "missing_file"
    absent = "hidden files are left alone" if _is_hidden(row) else "no such file"
    return Item(
        path=path or row.path,
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


def _is_hidden(row: LabelRow) -> bool:
    return not row.fault and any(map(is_ignored, row.path.split("/")))


def _conflicts(items: Iterable[Item]) -> list[str]:
    found = [item for item in items if item.reason == "conflict"]
    if not found:
        return []
    return [
        f"{len(found)} files have rows that disagree on the label, and are quarantined as "
        f"conflict; first: {found[0].path!r}: {found[0].detail}"
    ]


def _large_groups(items: Iterable[Item]) -> list[str]:
    groups = Counter(item.group for item in items)
    total = groups.total()
    return [
        f"the group {group!r} holds {n} of {total} items, which all go into one split: is it one "
        "thing, or a word for 'not known'? (leave such cells empty)"
        for group, n in groups.items()
        if group is not None and n >= max(_LARGE_GROUP * total, _LARGE_GROUP_ITEMS)
    ]


def _split_folders(items: Iterable[Item]) -> list[str]:
    """Warn of folders with names of splits, which a label file makes meaningless."""
    above = {item.path.rpartition("/")[0] for item in items if not item.reason and not item.split}
    tops = {each.partition("/")[0] for each in above}
    splits = {split_of_folder(top) for top in tops}
    if None in splits or "train" not in splits or len(splits) < 2:
        return []
    return [
        f"the folders {' and '.join(map(repr, sorted(tops)))} are named as splits, and without a "
        "column 'split' in the label file new splits are drawn"
    ]


def _refuse_contradiction(first: Item, second: Item) -> None:
    """Refuse two rows that put one file into two places: which one counts would be chance."""
    for name in ("split", "group", "weight"):
        one, other = getattr(first, name), getattr(second, name)
        if one != other:
            raise DataError(
                second.where,
                f"must not contradict {first.where}, which names {first.path!r} too, with {one!r}",
                field=f"column {name!r}",
                got=other,
                remedy="remove one of the two rows",
            )


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
