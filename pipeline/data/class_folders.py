"""Items of a raw folder whose folders name the classes, and perhaps the splits."""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from pipeline.data.folder import Folder
from pipeline.data.item import Item, RawItems
from pipeline.data.split_words import split_name
from pipeline.errors import DataError

_SHOWN = 5
"""Folders that a message names."""


def from_folders(raw: Path, folder: Folder) -> RawItems:
    """Return an item for every file, with its class and split by its folders.

    Raises:
        DataError: There are no folders, or they are named as splits and leave hardly a doubt.
    """
    folders = _folders(folder)
    tops = {each[0] for each in folders if each}
    if not tops:
        raise DataError(
            raw,
            "has neither a label file nor folders that name the classes",
            remedy="add labels.csv with the columns path and label",
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
            "need a labels.csv",
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
