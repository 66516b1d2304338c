"""From the raw folder to a list of items with their raw labels; the layout is found by looking.

    labels.csv, or another name of `label_choice`                 the label file says it all
    <class>/**/<file>                                             the first folder is the label
    train|val|test/<class>/**/<file>                              the first is the split
    ...                                                           see docs/layouts.md

A folder may hold .tar and .zip files: their members are items, by paths such as `a.tar/cat/1.jpg`.
Folders in and above an archive count as if it were unpacked where it lies, without a folder of its
name, unless archives are named as train and another split. But where every file that is in a folder
lies in an archive, and all archives lie in one folder, that folder merely stores them and does not
count, unless it is named as a split:

    a.tar with cat/1.jpg, cat/b.tar with 1.jpg                    both have the label cat
    shards/a.tar with cat/1.jpg, shards/b.tar with dog/1.jpg      cat and dog
    train/a.tar with cat/1.jpg, test/a.tar with cat/1.jpg         cat in train, cat in test
    train.tar with cat/1.jpg, test.tar with cat/1.jpg             the same

A label file names a member by its item's path, or by its path in the archive where no other file
has that.

Where the params name a column of texts, the rows of tables are the items, and `.txt` files where
they say so: see `pipeline.raw.texts`.

Every file becomes an item, whatever it holds, but for those that a warning counts and names: what
systems leave, what the user's patterns leave out, notes beside the items, and folders that mean
nothing where others are splits.
"""

import unicodedata
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace
from itertools import chain
from pathlib import Path

from pipeline.ground.errors import DataError
from pipeline.modality.files import files
from pipeline.modality.reading import all_readers
from pipeline.modality.table import OF_TEXT
from pipeline.raw.containers import is_table
from pipeline.raw.folder import FOREIGN_FOLDER, Folder, look_at
from pipeline.raw.item import ITEMS, Item, RawItems
from pipeline.raw.item_names import is_item_name, modality_of_names
from pipeline.raw.labels.choice import LABEL_NAMES, Labels, find_labels
from pipeline.raw.labels.label_file import LabelFile
from pipeline.raw.labels.label_items import from_label_file
from pipeline.raw.layout.class_folders import from_folders
from pipeline.raw.layout.layout import AUTO
from pipeline.raw.layout.split_words import split_of_folder
from pipeline.raw.shards.shard_items import SHARDED, from_shards
from pipeline.raw.sidecars import (
    compile_globs,
    describe_sidecars,
    find_sidecars,
    some_counts,
    some_files,
)
from pipeline.raw.texts.encoding import refuse_encoding
from pipeline.raw.texts.text_files import TEXT_FILES, find_text_files
from pipeline.raw.texts.text_items import from_text_tables
from pipeline.raw.texts.unasked import refuse_texts
from pipeline.store.kept import Kept
from pipeline.store.spill import MEMORY, Place


def find_items(  # noqa: PLR0913 (each is a param of the user)
    raw: Path,
    labels: Path,
    *,
    target: str,
    layout: str = AUTO,
    ignore: Sequence[str] = (),
    text: str | None = None,
    encoding: str | None = None,
    place: Place = MEMORY,
) -> RawItems:
    """Look through the raw folder and read the labels; no item is opened.

    Args:
        raw: The folder.
        labels: The folder again, or a label file.
        target: The label file's column with the labels.
        layout: What the folders name: `data.layout`.
        ignore: Patterns of files and folders that are left out: `clean.ignore`.
        text: The column of tables with the texts, or `.txt`: `data.text`.
        encoding: Of such tables; None: as far as their bytes tell it: `data.encoding`.
        place: Where what is found waits.

    Raises:
        DataError: There is nothing to work with, what the folders mean is in doubt, or the label
            file is wrong.
        ParamsError: `labels` is another folder, a column has two meanings, or there are no tables
            that the encoding may be of.
    """
    unwanted = compile_globs(ignore)
    if text is None or text == TEXT_FILES:
        refuse_encoding(encoding)
        folder = look_at(raw, unwanted=unwanted, place=place)
        if text is not None:
            noun, nouns = files(OF_TEXT).NOUN
            folder = replace(folder, noun=noun, nouns=nouns)
        _refuse_foreign(raw, folder)
        folder, found = _of_files(raw, labels, folder, target, layout, text)
    else:
        folder = look_at(raw, unwanted=unwanted, opens=lambda _: False, place=place)
        _refuse_foreign(raw, folder)
        found = from_text_tables(raw, labels, folder, text=text, target=target, encoding=encoding)
    unsafe = [Item(path, reason=reason, detail=fault) for path, reason, fault in folder.unsafe]
    safe = _without(found.items, folder.unsafe)
    items = Kept.keep(chain(safe, unsafe), ITEMS, place) if unsafe else Kept.of(safe, ITEMS, place)
    items = items.sorted_by("path")
    return replace(
        found,
        items=items,
        modality=modality_of_names(items.texts("path")) if text is None else OF_TEXT,
        ignored=folder.ignored + sum(folder.unwanted.values()) + found.ignored,
        warnings=(
            *found.warnings,
            *_idle_layout(layout, found),
            *_similar_names(folder),
            *_idle_names(folder, found),
            *_unwanted(folder, ignore),
            *_system(folder),
            *_hidden(folder),
        ),
    )


def _of_files(
    raw: Path, labels: Path, folder: Folder, target: str, layout: str, text: str | None
) -> tuple[Folder, RawItems]:
    """Return the folder without label files, and the items that are files and members."""
    texts: Collection[str] = () if text is None else find_text_files(raw, folder)
    if text is None and not (
        any(map(is_item_name, folder.files)) or any(map(is_table, folder.archives))
    ):
        refuse_texts(raw, folder)
        for reader in all_readers():
            reader.refuse_unread(raw, folder, labels if labels.is_file() else None)
    chosen = find_labels(raw, labels, folder, target=target, but=texts)
    folder = folder.without(chosen.own)
    if not folder.files:
        raise DataError(
            raw, "has no files to work with", remedy=f"put {folder.nouns} there, or pull them"
        )
    if chosen.file is not None:
        return folder, _by_label_file(raw, folder, chosen.file, texts)
    found = from_shards(raw, folder, target=target) if text is None else None
    return folder, found or _by_folders(raw, folder, chosen, layout, texts)


def _refuse_foreign(raw: Path, folder: Folder) -> None:
    """Stop at links behind which there may be a whole class: they are not followed.

    Raises:
        DataError: There are such.
    """
    foreign = [path for path, _, fault in folder.unsafe if fault == FOREIGN_FOLDER]
    if foreign:
        raise DataError(
            raw / foreign[0],
            f"must not be {FOREIGN_FOLDER}" + (f", as {n} are" if (n := len(foreign)) > 1 else ""),
            remedy="copy the folder to its place, or name the link in `clean.ignore`",
        )


def _by_folders(
    raw: Path, folder: Folder, labels: Labels, layout: str, texts: Collection[str]
) -> RawItems:
    own, notes = _without_notes(raw, folder, but=texts)
    try:
        found = from_folders(raw, own, layout=layout)
    except DataError as error:
        labels.refuse(raw, str(error).removeprefix(f"{raw}: "))
        raise
    warnings = (*labels.check_folders(raw, found), *found.warnings)
    return _told(replace(found, warnings=warnings), notes, folder.nouns)


def _by_label_file(
    raw: Path, folder: Folder, labels: LabelFile, texts: Collection[str]
) -> RawItems:
    own, notes = _without_notes(raw, folder, but=chain(texts, labels.rows.texts("path")))
    return _told(from_label_file(labels, own, raw), notes, folder.nouns)


def _without_notes(
    raw: Path, folder: Folder, *, but: Iterable[str]
) -> tuple[Folder, Collection[str]]:
    """Return the folder without the files that are notes on items, and these.

    Raises:
        DataError: There is nothing else.
    """
    notes = find_sidecars(folder.files, but=but)
    if len(notes) == len(folder.files):
        raise DataError(
            raw,
            f"has no {folder.nouns}: {describe_sidecars(notes, folder.nouns)[0]}",
            remedy=f"put {folder.nouns} there, or pull them",
        )
    if not notes:
        return folder, notes
    return folder.without(notes), notes


def _told(found: RawItems, notes: Collection[str], nouns: str) -> RawItems:
    """Count what was left out as notes, and tell of it."""
    warnings = (*found.warnings, *describe_sidecars(notes, nouns))
    return replace(found, ignored=found.ignored + len(notes), warnings=warnings)


def _without(items: Iterable[Item], unsafe: Iterable[tuple[str, str, str]]) -> Iterable[Item]:
    taken = {path for path, _, _ in unsafe}
    return (item for item in items if item.path not in taken) if taken else items


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


def _idle_names(folder: Folder, found: RawItems) -> list[str]:
    """Warn of names that would mean something in another place."""
    is_idle = found.layout not in (*SHARDED, "split folders")
    splits = [path for path in folder.archives if is_idle and split_of_folder(Path(path).stem)]
    labels = [
        path
        for path in folder.files
        if path.rpartition("/")[2].lower() in LABEL_NAMES and folder.archive_of(path) is not None
    ]
    warnings = []
    if splits:
        warnings.append(
            f"{splits[0]!r} is named as a split, and an archive's name says nothing of its items; "
            f"a folder's does: {Path(splits[0]).stem}/{Path(splits[0]).name}"
        )
    if labels:
        warnings.append(f"{labels[0]!r} is not read: a label file must be beside the archive")
    return warnings


def _idle_layout(layout: str, found: RawItems) -> list[str]:
    if layout == AUTO or found.layout in ("class folders", "split folders"):
        return []
    return [f"data.layout: {layout} has no effect: the labels come from the {found.layout}"]


def _unwanted(folder: Folder, ignore: Sequence[str]) -> list[str]:
    """Return how many files each pattern of the user leaves out; one may leave out none."""
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
