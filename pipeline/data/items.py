"""From the raw folder to a list of items with their raw labels; the layout is found by looking.

    labels.csv or labels.parquet, in the folder or beside it      the label file says it all
    <class>/**/<file>                                             the first folder is the label
    train|val|test/<class>/**/<file>                              the first is the split
    ...                                                           see docs/layouts.md

A folder may hold .tar and .zip files: their members are items, by paths such as `a.tar/cat/1.jpg`.
Folders in and above an archive count as if it were unpacked where it lies, without a folder of its
name. But where every file that is in a folder lies in an archive, and all archives lie in one
folder, that folder merely stores them and does not count, unless it is named as a split:

    a.tar with cat/1.jpg, cat/b.tar with 1.jpg                    both have the label cat
    shards/a.tar with cat/1.jpg, shards/b.tar with dog/1.jpg      cat and dog
    train/a.tar with cat/1.jpg, test/a.tar with cat/1.jpg         cat in train, cat in test

A label file names a member by its item's path, or by its path in the archive where no other file
has that.

Every file becomes an item, whatever it holds, but for those that a warning counts and names: what
systems leave, what the user's patterns leave out, notes beside the pictures, and folders that mean
nothing where others are splits.
"""

import unicodedata
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from pipeline.data.class_folders import from_folders
from pipeline.data.folder import Folder, look_at
from pipeline.data.item import Item, RawItems
from pipeline.data.label_items import from_label_file
from pipeline.data.labelfile import read_label_file
from pipeline.data.layout import AUTO
from pipeline.data.sidecars import (
    compile_globs,
    describe_sidecars,
    find_sidecars,
    some_counts,
    some_files,
)
from pipeline.data.split_words import split_folder
from pipeline.errors import DataError, ParamsError

LABEL_FILES = ("labels.csv", "labels.parquet")


def find_items(
    raw: Path, labels: Path, *, target: str, layout: str = AUTO, ignore: Sequence[str] = ()
) -> RawItems:
    """Look through the raw folder and read the labels; no item is opened.

    Args:
        raw: The folder.
        labels: The folder again, or a label file.
        target: The label file's column with the labels.
        layout: What the folders name: `data.layout`.
        ignore: Patterns of files and folders that are left out: `clean.ignore`.

    Raises:
        DataError: There is nothing to work with, what the folders mean is in doubt, or the label
            file is wrong.
        ParamsError: `labels` is another folder.
    """
    folder = look_at(raw, unwanted=compile_globs(ignore))
    label_file = _choose_label_file(raw, labels, folder)
    own = [_relative(label_file, raw), *LABEL_FILES] if label_file else []
    folder = replace(folder, files=tuple(path for path in folder.files if path not in own))
    if not folder.files:
        raise DataError(raw, "has no files to work with", remedy="put pictures there, or pull them")
    if label_file is None:
        found = _by_folders(raw, folder, layout)
    else:
        found = _by_label_file(raw, folder, label_file, target)
    unsafe = [Item(path, reason=reason, detail=fault) for path, reason, fault in folder.unsafe]
    items = sorted((*_without(found.items, folder.unsafe), *unsafe), key=lambda item: item.path)
    return replace(
        found,
        items=tuple(items),
        ignored=folder.ignored + sum(folder.unwanted.values()) + found.ignored,
        warnings=(
            *found.warnings,
            *_idle_layout(layout, label_file),
            *_similar_names(folder),
            *_idle_names(folder),
            *_unwanted(folder, ignore),
            *_system(folder),
            *_hidden(folder),
        ),
    )


def _by_folders(raw: Path, folder: Folder, layout: str) -> RawItems:
    pictures, notes = _without_notes(raw, folder)
    return _told(from_folders(raw, pictures, layout=layout), notes)


def _by_label_file(raw: Path, folder: Folder, label_file: Path, target: str) -> RawItems:
    rows = read_label_file(label_file, target=target)
    pictures, notes = _without_notes(raw, folder, but={row.path for row in rows.rows})
    return _told(from_label_file(rows, pictures), notes)


def _without_notes(
    raw: Path, folder: Folder, *, but: Collection[str] = ()
) -> tuple[Folder, Collection[str]]:
    """Return the folder without the files that are notes on pictures, and these.

    Raises:
        DataError: There is nothing else.
    """
    notes = find_sidecars(folder.files, but=but)
    if len(notes) == len(folder.files):
        raise DataError(
            raw, f"has no pictures: {describe_sidecars(notes)[0]}",
            remedy="put pictures there, or pull them",
        )  # fmt: skip
    if not notes:
        return folder, notes
    return replace(folder, files=tuple(path for path in folder.files if path not in notes)), notes


def _told(found: RawItems, notes: Collection[str]) -> RawItems:
    """Count what was left out as notes, and tell of it."""
    warnings = (*found.warnings, *describe_sidecars(notes))
    return replace(found, ignored=found.ignored + len(notes), warnings=warnings)


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
    splits = [path for path in folder.archives if _is_split(path)]
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


def _is_split(archive: str) -> bool:
    word = split_folder(Path(archive).stem)
    return word is not None and not word.rest


def _idle_layout(layout: str, label_file: Path | None) -> list[str]:
    if layout == AUTO or label_file is None:
        return []
    return [f"data.layout: {layout} has no effect: {label_file} says the labels"]


def _unwanted(folder: Folder, ignore: Sequence[str]) -> list[str]:
    """Tell how many files each pattern of the user leaves out; one may leave out none."""
    counts = Counter({repr(glob): folder.unwanted.get(glob, 0) for glob in ignore})
    if not counts:
        return []
    return [f"{some_files(counts.total())} left out by clean.ignore: {some_counts(counts)}"]


def _system(folder: Folder) -> list[str]:
    if not folder.system:
        return []
    counts = Counter({repr(name): n for name, n in folder.system.items()})
    return [f"left out as what systems and viewers leave: {some_counts(counts)}"]


def _hidden(folder: Folder) -> list[str]:
    if not folder.hidden:
        return []
    return [f"{len(folder.hidden)} hidden folders are not looked into; first: {folder.hidden[0]!r}"]
