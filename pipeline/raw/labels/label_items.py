"""Items of a raw folder by the rows of a label file."""

import shlex
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path

import numpy as np

from pipeline.ground.errors import DataError
from pipeline.raw.archive.archive import SUFFIXES
from pipeline.raw.folder import Folder, is_ignored
from pipeline.raw.item import ITEMS, Item, RawItems
from pipeline.raw.labels.file_places import NOWHERE, SEVERAL, Ints, file_places, named_exactly
from pipeline.raw.labels.label_file import LabelFile, LabelRow
from pipeline.raw.labels.path_matching import Written, home_of, match_paths
from pipeline.raw.layout.split_words import split_of_folder
from pipeline.store.kept import Kept

_LARGE_GROUP = 1 / 3
"""Share of the items in one group from which there is a warning, if these are so many:"""

_LARGE_GROUP_ITEMS = 10


def from_label_file(labels: LabelFile, folder: Folder, raw: Path) -> RawItems:
    """Return an item for every row, and one for every file without a row.

    Raises:
        DataError: Two rows contradict each other, a row names no single file, or none names any.
    """
    places, told = _find_files(labels, folder, raw)
    odd = _join_rows(labels, folder, places)
    listed = Kept.keep(_listed(labels, folder, places, odd), ITEMS, folder.place)
    warnings = [*labels.warnings, *told]
    if odd.repeated:
        warnings.append(
            f"{odd.repeated[0]}; {len(odd.repeated)} rows are such repeats, and do not count"
        )
    warnings += _conflicts(odd.items.values())
    warnings += _large_groups(listed.texts("group"))
    warnings += _split_folders(listed)
    is_without = np.ones(len(folder.files), dtype=bool)
    is_without[places[places >= 0]] = False
    without_row = [folder.files[at] for at in map(int, np.flatnonzero(is_without))]
    without_row = [path for path in without_row if path not in odd.items]
    unlabeled = _unlabeled_folders(without_row, listed.texts("path")) if without_row else {}
    for top, files in unlabeled.items():
        warnings.append(
            f"{len(files)} files of {top!r} have no row in {labels.path.name}: without a label, "
            f"left out; score them with `{shlex.join(['rootstock', 'predict', str(raw / top)])}`"
        )
    left_out = {path for files in unlabeled.values() for path in files}
    without_row = [path for path in without_row if path not in left_out]
    items: Iterable[Item] = listed
    if without_row:
        warnings.append(
            f"{len(without_row)} of {len(folder.files)} files have no row in {labels.path.name}; "
            f"first: {without_row[0]!r}"
        )
        items = chain(listed, (Item(path, where=str(labels.path)) for path in without_row))
    return RawItems(
        Kept.of(items, ITEMS, folder.place),
        "label file",
        labels.meta_names,
        len(left_out),
        tuple(warnings),
    )


@dataclass(frozen=True)
class _Odd:
    """Rows that do not stand alone for a file.

    Attributes:
        rows: Their numbers.
        items: What they give, by path.
        repeated: What is told of rows that repeat another one.
    """

    rows: Set[int]
    items: Mapping[str, Item]
    repeated: Sequence[str]


def _join_rows(labels: LabelFile, folder: Folder, places: Ints) -> _Odd:
    """Judge the rows that name the same file as another one, and those that name none.

    Raises:
        DataError: Two rows contradict each other.
    """
    order = np.argsort(places, kind="stable")
    same = np.flatnonzero(np.diff(places[order]) == 0)
    shared = np.union1d(order[same], order[same + 1])
    odd = np.union1d(shared, np.flatnonzero(places < 0))
    repeated: list[str] = []
    items: dict[str, Item] = {}
    for number in map(int, odd):
        row = labels.rows[number]
        item = _from_row(row, number, _path(row, folder, int(places[number])))
        earlier = items.get(item.path)
        if earlier is not None:
            _refuse_contradiction(earlier, item)
        if earlier is None:
            items[item.path] = item
        elif earlier.label == item.label:
            repeated.append(f"{row.where}: {item.path!r} again, as in {earlier.where}")
        else:
            items[item.path] = _disagreeing(earlier, item)
    return _Odd({*map(int, odd)}, items, repeated)


def _listed(labels: LabelFile, folder: Folder, places: Ints, odd: _Odd) -> Iterator[Item]:
    """Yield the items of all rows, in their order."""
    first = {item.row: item for item in odd.items.values()}
    for number, (row, place) in enumerate(zip(labels.rows, map(int, places), strict=True)):
        if number in first:
            yield first[number]
        elif number not in odd.rows:
            yield _from_row(row, number, _path(row, folder, place))


def _path(row: LabelRow, folder: Folder, place: int) -> str | None:
    """Return the path of the file at a place; None for no place."""
    return None if place < 0 else folder.files[place]


def _unlabeled_folders(without_row: Iterable[str], listed: Iterable[str]) -> dict[str, list[str]]:
    """Return the files of folders at the top that are named as a val or test, and have no row.

    Args:
        without_row: These files.
        listed: The paths of the others.
    """
    known = {path.partition("/")[0] for path in listed}
    found: dict[str, list[str]] = {}
    for path in without_row:
        top, _, inner = path.partition("/")
        name = Path(top).stem if top.lower().endswith(SUFFIXES) else top
        if inner and top not in known and split_of_folder(name) in ("val", "test"):
            found.setdefault(top, []).append(path)
    return found


def _find_files(labels: LabelFile, folder: Folder, raw: Path) -> tuple[Ints, list[str]]:
    """Return the place of each row's file, or `NOWHERE`; and what to tell of rows not as written.

    Raises:
        DataError: A row names a file of several archives, or no row names any file.
    """
    rows = labels.rows
    columns = zip(rows.texts("path"), rows.texts("fault"), strict=True)
    places = file_places((None if fault else path for path, fault in columns), folder)
    _find_odd_names(labels, folder, places)
    unsafe = {path for path, _, _ in folder.unsafe}
    lost = [
        at
        for at in map(int, np.flatnonzero(places < 0))
        if (row := rows[at]).path not in unsafe and not _is_hidden(row)
    ]
    if not lost:
        return places, []
    first = rows[lost[0]]
    taken = {folder.files[at] for at in places[places >= 0]}
    matched = match_paths(_written(labels, lost, raw), folder.files, taken)
    if matched.files:
        found = named_exactly(filter(None, matched.files), folder)
        places[lost] = [NOWHERE if file is None else found[file] for file in matched.files]
    if (places < 0).all():
        remedy = f"{matched.told}; mend the paths, or the folder" if matched.told else None
        raise DataError(
            labels.path,
            f"none of its {len(rows)} paths names a file in {raw}; first: "
            f"{first.path!r} ({first.where})",
            remedy=remedy or f"write paths relative to {raw}, as {folder.files[0]!r} is",
        )
    if not matched.told:
        return places, []
    file = _path(first, folder, int(places[lost[0]]))
    return places, [
        f"{len(lost)} of {len(rows)} paths in {labels.path.name} name no file as they are written; "
        f"{matched.told}; first: {first.path!r} ({first.where})" + (f" is {file!r}" if file else "")
    ]


def _find_odd_names(labels: LabelFile, folder: Folder, places: Ints) -> None:
    """Find the files of rows that others may spell otherwise, or of which there are several.

    Raises:
        DataError: A row names a file of several archives.
    """
    rest = [at for at in map(int, np.flatnonzero(places < 0)) if not labels.rows[at].fault]
    paths = [labels.rows[at].path for at in rest]
    found = named_exactly(paths, folder) if rest else {}
    for at, path in zip(rest, paths, strict=True):
        places[at] = found.get(path, found.get(unicodedata.normalize("NFC", path), NOWHERE))
        if places[at] == SEVERAL:
            raise DataError(
                labels.rows[at].where,
                "must name one file, and several archives have it",
                field="column 'path'",
                got=path,
                remedy="write the archive before it: a.tar/cat/1.jpg",
            )


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


def _large_groups(names: Iterable[str | None]) -> list[str]:
    groups = Counter(names)
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
