"""From the raw folder to a list of items with their raw labels; the layout is found by looking.

    labels.csv or labels.parquet, in the folder or beside it      the label file says it all
    <class>/**/<file>                                             the first folder is the label
    train|val|test/<class>/**/<file>                              the first is the split

A folder may hold .tar and .zip files: their members are items, by paths such as `a.tar/cat/1.jpg`.
Folders in and above an archive count as if it were unpacked where it lies, without a folder of its
name. But where every file that is in a folder lies in an archive, and all archives lie in one
folder, that folder merely stores them and does not count, unless it is named as a split:

    a.tar with cat/1.jpg, cat/b.tar with 1.jpg                    both have the label cat
    shards/a.tar with cat/1.jpg, shards/b.tar with dog/1.jpg      cat and dog
    train/a.tar with cat/1.jpg, test/a.tar with cat/1.jpg         cat in train, cat in test

A label file names a member by its item's path, or by its path in the archive where no other file
has that.

Every file becomes an item, whatever it holds: none is left out without a row in the manifest.
"""

import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from pydantic import Field, field_validator

from pipeline.data.folder import Folder, is_ignored, look_at
from pipeline.data.labelfile import LabelFile, LabelRow, read_label_file
from pipeline.data.split import split_name
from pipeline.errors import DataError, ParamsError
from pipeline.params import Section

LABEL_FILES = ("labels.csv", "labels.parquet")

_SHOWN = 5
"""Folders that a message names."""

Layout = Literal["label file", "class folders", "split folders"]


class DataParams(Section):
    """`data`: where the raw files and their labels are."""

    path: str = Field(min_length=1)
    """The folder of raw files, relative to the repository."""

    labels: str = Field(min_length=1)
    """The same folder, to be looked through, or one label file."""

    target: str = Field(min_length=1)
    """The label file's column with the labels."""

    @field_validator("path", "labels")
    @classmethod
    def _stay_inside(cls, value: str) -> str:
        if value.startswith(("/", "~")) or "$" in value or ".." in Path(value).parts:
            raise ValueError(f"must be a path inside the repository, got {value!r}")
        return value


@dataclass(frozen=True, slots=True)
class Item:
    """One raw item, before anybody has opened it; what is not known is None."""

    path: str
    label: str | None = None
    split: str | None = None
    group: str | None = None
    weight: float = 1.0
    meta: tuple[str, ...] | None = None
    row: int | None = None
    """Its place in the label file, from 0; None for a file without a row."""
    where: str = ""
    """Where its label stands, for error messages."""
    reason: str | None = None
    """Why it is quarantined unopened: a code of the manifest."""
    detail: str = ""


@dataclass(frozen=True)
class RawItems:
    """All items, sorted by path, and what was noticed while looking."""

    items: tuple[Item, ...]
    layout: Layout
    meta_names: tuple[str, ...] = ()
    ignored: int = 0
    warnings: tuple[str, ...] = ()


def find_items(raw: Path, labels: Path, *, target: str) -> RawItems:
    """Look through the raw folder and read the labels; no item is opened.

    Args:
        raw: The folder.
        labels: The folder again, or a label file.
        target: The label file's column with the labels.

    Raises:
        DataError: There is nothing to work with, or the label file is wrong.
        ParamsError: `labels` is another folder.
    """
    folder = look_at(raw)
    label_file = _choose_label_file(raw, labels, folder)
    own = [_relative(label_file, raw), *LABEL_FILES] if label_file else []
    folder = replace(folder, files=tuple(path for path in folder.files if path not in own))
    if not folder.files:
        raise DataError(raw, "has no files to work with", remedy="put pictures there, or pull them")
    if label_file is None:
        found = _from_folders(raw, folder)
    else:
        found = _from_label_file(read_label_file(label_file, target=target), folder)
    unsafe = [Item(path, reason=reason, detail=fault) for path, reason, fault in folder.unsafe]
    items = sorted((*_without(found.items, folder.unsafe), *unsafe), key=lambda item: item.path)
    return replace(
        found,
        items=tuple(items),
        ignored=folder.ignored,
        warnings=(*found.warnings, *_similar_names(folder), *_idle_names(folder), *_hidden(folder)),
    )


def _choose_label_file(raw: Path, labels: Path, folder: Folder) -> Path | None:
    if not (labels.is_dir() or labels == raw):
        return labels
    if labels.resolve() != raw.resolve():
        raise ParamsError(
            "params.yaml",
            "must be data.path or a label file, and not another folder",
            field="data.labels",
            got=str(labels),
            remedy=f"write {raw}, or {labels / LABEL_FILES[0]}",
        )
    present = [name for name in LABEL_FILES if name in folder.files]
    if len(present) > 1:
        raise DataError(raw, f"has both {' and '.join(present)}", remedy="remove one")
    return raw / present[0] if present else None


def _relative(path: Path, folder: Path) -> str:
    return path.relative_to(folder).as_posix() if path.is_relative_to(folder) else ""


def _from_folders(raw: Path, folder: Folder) -> RawItems:
    folders = _folders(folder)
    tops = {each[0] for each in folders if each}
    if not tops:
        raise DataError(
            raw,
            "has neither a label file nor folders that name the classes",
            remedy=f"add {LABEL_FILES[0]} with the columns path and label",
        )
    has_splits = all(map(split_name, tops)) and "train" in map(split_name, tops)
    items = tuple(
        _from_folder(raw, path, list(each), has_splits=has_splits)
        for path, each in zip(folder.files, folders, strict=True)
    )
    if has_splits:
        return RawItems(items, "split folders")
    return RawItems(items, "class folders", warnings=tuple(_doubtful(raw, folders)))


def _doubtful(raw: Path, folders: Iterable[Sequence[str]]) -> Iterator[str]:
    """Tell of class folders that look like splits; refuse those that leave hardly a doubt.

    Raises:
        DataError: One is named as a split, and all hold folders of the same names.
    """
    inside: dict[str, set[str]] = {}
    for top, *below in filter(None, folders):
        inside.setdefault(top, set()).add(below[0] if below else "")
    first, *more = inside.values()
    is_alike = bool(more) and "" not in first and all(each == first for each in more)
    named = [top for top in sorted(inside) if split_name(top)]
    others = [top for top in sorted(inside) if not split_name(top)]
    held = ", ".join(map(repr, sorted(first)[:_SHOWN]))
    if named and is_alike and len(first) > 1:
        fault = f"{others[0]!r} is not" if others else "none as 'train'"
        raise DataError(
            raw, f"the folder {named[0]!r} is named as a split, {fault}, and all hold the same "
            f"folders: {held}",
            remedy="name them train, val (or valid, validation) and test; classes of such names "
            f"need a {LABEL_FILES[0]}",
        )  # fmt: skip
    if named:
        yield f"the folder {named[0]!r} is named as a split, and is taken for a class"
    elif is_alike and len(first) > 1:
        yield (f"all class folders hold the same folders: {held}; if these are the classes, name "
               "those above them train, val and test")  # fmt: skip


def _folders(folder: Folder) -> list[Sequence[str]]:
    """Give the folders that count of each file: those of a member as if it were unpacked."""
    holders = [folder.archive_of(path) for path in folder.files]
    above = {archive: archive.split("/")[:-1] for archive in folder.archives}
    places = {tuple(each) for each in above.values()}
    is_loose = any(
        holder is None and "/" in path for path, holder in zip(folder.files, holders, strict=True)
    )
    if len(places) == 1 and not is_loose and not any(map(split_name, *places)):
        above = {archive: [] for archive in above}
    return [
        path.split("/")[:-1]
        if holder is None
        else [*above[holder], *path[len(holder) + 1 :].split("/")[:-1]]
        for path, holder in zip(folder.files, holders, strict=True)
    ]


def _from_folder(raw: Path, path: str, folders: list[str], *, has_splits: bool) -> Item:
    split = split_name(folders.pop(0)) if has_splits and folders else None
    label = folders[0] if folders and folders[0].strip() else None
    return Item(path, label=label, split=split, where=str(raw / path))


def _from_label_file(labels: LabelFile, folder: Folder) -> RawItems:
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


def _without(items: Iterable[Item], unsafe: Iterable[tuple[str, str, str]]) -> list[Item]:
    taken = {path for path, _, _ in unsafe}
    return [item for item in items if item.path not in taken]


def _similar_names(folder: Folder) -> list[str]:
    loose = [path for path in folder.files if folder.archive_of(path) is None]
    keys = Counter(unicodedata.normalize("NFC", path).casefold() for path in loose)
    twice = sorted(key for key, n in keys.items() if n > 1)
    if not twice:
        return []
    return [
        f"{len(twice)} file names differ only in case or in composed accents, and collide on other "
        f"machines; first: {twice[0]!r}"
    ]


def _idle_names(folder: Folder) -> list[str]:
    """Tell of names that would mean something where they do not stand."""
    splits = [path for path in folder.archives if split_name(Path(path).stem)]
    labels = [
        path
        for path in folder.files
        if path.rpartition("/")[2] in LABEL_FILES and folder.archive_of(path) is not None
    ]
    warnings = []
    if splits:
        warnings.append(
            f"{splits[0]!r} is named as a split, and an archive's name says nothing of its items; "
            f"a folder's does: {Path(splits[0]).stem}/{Path(splits[0]).name}"
        )
    for path in folder.files:
        if path not in LABEL_FILES and path.lower() in LABEL_FILES:
            warnings.append(f"{path!r} is not read: a label file is named {path.lower()}")
    if labels:
        warnings.append(f"{labels[0]!r} is not read: a label file must lie beside the archive")
    return warnings


def _hidden(folder: Folder) -> list[str]:
    if not folder.hidden:
        return []
    return [f"{len(folder.hidden)} hidden folders are not looked into; first: {folder.hidden[0]!r}"]
