"""Which files in a raw folder hold the labels, and which tables lie there unread.

    labels.csv, labels.parquet                      ours
    metadata.csv, metadata.jsonl, metadata.parquet  of Hugging Face's image folders
    _classes.csv                                    of Roboflow: a column for each class

One lies in the raw folder; or several lie in its folders, each for its own: train/metadata.csv.
"""

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

from pipeline.ground.errors import DataError, ParamsError
from pipeline.raw.folder import Folder
from pipeline.raw.item import RawItems
from pipeline.raw.labels.columns import find_path_column
from pipeline.raw.labels.label_file import LabelFile, merge_label_files, read_label_file
from pipeline.raw.labels.path_matching import FileNames
from pipeline.raw.labels.text_table import TABLE_SUFFIXES, UNREAD_SUFFIXES, read_text_table
from pipeline.raw.layout.split_words import split_folder, split_of_folder

LABEL_FILES = ("labels.csv", "labels.parquet")
_OTHER_TOOLS = ("metadata.csv", "metadata.jsonl", "metadata.parquet", "_classes.csv")
LABEL_NAMES = (*LABEL_FILES, *_OTHER_TOOLS)
"""Names, in any case, by which a label file is read where `data.labels` is the raw folder."""

_TABLES = frozenset((*TABLE_SUFFIXES, *UNREAD_SUFFIXES))
_SUBMISSIONS = re.compile(r"(?:.*/)?[^/]*submission[^/]*", re.IGNORECASE)
"""Names of tables that a contest ships to show a form: their labels are made up."""

_PEEKED_BYTES = 64 << 20
_SHOWN = 3
_ALIKE = 0.5
"""Share of a table's rows that name files, from which it is likely a label file."""


@dataclass(frozen=True)
class Labels:
    """What the raw folder holds of labels.

    Attributes:
        file: The label file, or several in one; None where folders must name the classes.
        own: The files that it came from, relative to the raw folder: no items.
        fault: What is wrong with a file of such a name, where it was not used.
        unread: Tables that name files and are not read, relative to the raw folder.
    """

    file: LabelFile | None
    own: tuple[str, ...] = ()
    fault: DataError | None = None
    unread: tuple[str, ...] = ()

    def check_folders(self, raw: Path, found: RawItems) -> tuple[str, ...]:
        """Check the items that folders gave, in the light of unread tables, and return warnings.

        Raises:
            DataError: The folders name no two classes, and a table may hold the labels.
        """
        labels = {item.label for item in found.items if item.path not in self.unread}
        if len(labels - {None}) < 2:
            self.refuse(raw, "the folders name no two classes")
        if self.fault is not None:
            return (f"{self.fault}; the file is not read, since folders name the classes",)
        return tuple(
            f"{table!r} names files and is not read, since folders name the classes; to read it "
            f"instead: data.labels: {raw / table}"
            for table in self.unread[:_SHOWN]
            if table.lower().endswith(TABLE_SUFFIXES)
        )

    def refuse(self, raw: Path, rule: str) -> None:
        """Raise what a user must know of tables that may hold the labels; return without any.

        Args:
            raw: The raw folder.
            rule: What is wrong without a label file.

        Raises:
            DataError: There is such a table.
        """
        if self.fault is not None:
            raise self.fault
        if self.unread:
            first, more = self.unread[0], len(self.unread) - _SHOWN
            named = ", ".join(map(repr, self.unread[:_SHOWN])) + (f", {more} more" * (more > 0))
            remedy = f"write `data.labels: {raw / first}`"
            if len(self.unread) > 1:
                remedy += ", or join them into labels.csv, with a column split for splits"
            if not first.lower().endswith(TABLE_SUFFIXES):
                remedy = f"save it as {raw / LABEL_FILES[0]}, with the columns path and label"
            are = "label files, and are" if len(self.unread) > 1 else "a label file, and is"
            raise DataError(raw, f"{rule}; {named} may be {are} not read", remedy=remedy)


def find_labels(
    raw: Path, labels: Path, folder: Folder, *, target: str, but: Collection[str] = ()
) -> Labels:
    """Choose and read the label file.

    Args:
        raw: The raw folder.
        labels: The folder again, or a label file.
        folder: What lies in it.
        target: The column with the labels.
        but: Files that are items, though they are called as tables may be.

    Raises:
        DataError: The label file is wrong, or there are several.
        ParamsError: `labels` is another folder.
    """
    names = FileNames(folder.files)
    if not (labels.is_dir() or labels == raw):
        own = labels.relative_to(raw).as_posix() if labels.is_relative_to(raw) else ""
        if own in folder.archives:
            raise ParamsError(
                "params.yaml",
                "must be data.path where a file holds the items and their labels",
                field="data.labels",
                got=str(labels),
                remedy=f"write {raw}",
            )
        found = read_label_file(labels, target=target, names=names, place=folder.place)
        return Labels(found, (own, *LABEL_FILES))
    if labels.resolve() != raw.resolve():
        raise ParamsError(
            "params.yaml",
            "must be data.path or a label file, and not another folder",
            field="data.labels",
            got=str(labels),
            remedy=f"write {raw}, or {labels / LABEL_FILES[0]}",
        )
    for known in (LABEL_FILES, _OTHER_TOOLS):
        present = [path for path in folder.files if path.lower() in known]
        if len(present) > 1:
            raise DataError(raw, f"has both {' and '.join(present[:2])}", remedy="remove one")
        if present:
            return _read(raw, present, folder, target, but)
    nested = _nested(folder)
    if nested:
        return _read(raw, nested, folder, target, but)
    return Labels(None, unread=_unread(raw, folder, but))


def _read(
    raw: Path, names: Sequence[str], folder: Folder, target: str, but: Collection[str]
) -> Labels:
    """Read label files; one of another tool need not be a label file where folders are classes."""
    known = FileNames(folder.files)
    try:
        files = [
            read_label_file(raw / name, target=target, names=known, place=folder.place)
            for name in names
        ]
    except DataError as fault:
        if names[0].lower() in LABEL_FILES:
            raise
        return Labels(None, fault=fault, unread=_unread(raw, folder, but))
    is_top = "/" not in names[0]
    return Labels(files[0] if is_top else merge_label_files(raw, files), (*names, *LABEL_FILES))


def _nested(folder: Folder) -> list[str]:
    """Return label files in folders, if these are splits, or hold all files that are in folders."""
    found = [
        path
        for path in folder.files
        if path.rpartition("/")[2].lower() in LABEL_NAMES and folder.archive_of(path) is None
    ]
    homes = [path.rpartition("/")[0] for path in found]
    if len(set(homes)) < len(homes):
        return []
    if all(any(map(split_of_folder, home.split("/"))) for home in homes):
        return found
    covered = tuple(f"{home}/" for home in homes)
    return found if all(path.startswith(covered) for path in folder.files if "/" in path) else []


def _unread(raw: Path, folder: Folder, but: Collection[str]) -> tuple[str, ...]:
    """Return tables that name files of the folder; of kinds that nobody reads, those at its top."""
    found, names = [], FileNames(folder.files)
    for path in folder.files:
        suffix = f".{path.rpartition('.')[2].lower()}"
        if path in but:
            continue
        if suffix not in _TABLES or folder.archive_of(path) is not None or path.count("/") > 1:
            continue
        if _SUBMISSIONS.fullmatch(path):
            continue
        is_kind_unread = suffix in UNREAD_SUFFIXES and "/" not in path
        if is_kind_unread or (suffix in TABLE_SUFFIXES and _names_files(raw / path, names)):
            found.append(path)
    return tuple(sorted(found, key=_likelihood))


def _likelihood(path: str) -> tuple[bool, bool, str]:
    """Return the place of a table among others: those that are read, and of train, come first."""
    named = split_folder(path.rpartition("/")[2].rpartition(".")[0])
    is_of_others = named is not None and named.split != "train"
    return path.lower().endswith(UNREAD_SUFFIXES), is_of_others, path


def _names_files(path: Path, names: FileNames) -> bool:
    if not 0 < path.stat().st_size < _PEEKED_BYTES:
        return False
    try:
        table = read_text_table(path, any_form=True)
        column, _ = find_path_column(table, names)
        cells = table.column(column)
    except DataError:
        return False
    return names.share(cells) >= _ALIKE
