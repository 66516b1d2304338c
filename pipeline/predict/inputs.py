"""What a person points at, as a list of files: items, folders, archives, label files.

Folders and archives are looked through as `clean` looks through a raw folder: hidden and system
files do not count, a label file in a folder itself is no item, and what nobody may open is in
the list with the reason. A label file names items by its column `path`, or by one that `clean`
takes for it; its paths are read as `clean` reads them.

Where items are texts, a row of a table is one, unless the table has a column `path` and none of
texts.
"""

import logging
import os
from collections.abc import Iterable, Iterator, Sequence, Set
from dataclasses import dataclass, replace
from pathlib import Path

from pipeline.ground.errors import DataError, ParamsError
from pipeline.predict.tables import Columns, GivenTable, columns_of, open_table
from pipeline.raw.containers import is_container
from pipeline.raw.folder import Folder, is_ignored, look_at, look_into
from pipeline.raw.item_names import item_nouns
from pipeline.raw.labels.choice import LABEL_NAMES
from pipeline.raw.labels.columns import find_path_column
from pipeline.raw.labels.path_matching import FileNames, Matched, Written, inside, match_paths
from pipeline.raw.labels.text_table import TextTable, read_text_table
from pipeline.raw.source import split_path
from pipeline.raw.texts.cell_paths import is_text_table
from pipeline.raw.texts.missing_column import named
from pipeline.raw.unsafe_entries import entry_fault, safe_path, walk

log = logging.getLogger(__name__)

_TABLES = (".csv", ".tsv", ".jsonl", ".ndjson", ".parquet")
_MOST_LISTED = 300_000
"""Files among which a path is looked for that names none as written: a list may lie anywhere."""


@dataclass(frozen=True, slots=True)
class Input:
    """One file to predict, unopened.

    Attributes:
        path: As its row names it: what was given, and then its place in it.
        root: The folder that it may not leave.
        inner: Its place in `root`, through an archive as through a folder.
        fault: `<reason>: <detail>` where it must not be opened.
    """

    path: str
    root: Path
    inner: str
    fault: str | None = None

    def stamp(self) -> list[str | int]:
        """Return what changes when the file does, from the file system's records alone."""
        try:
            file, _ = split_path(self.root, self.inner)
            status = (self.root / file).stat()
        except (OSError, ValueError):
            return [self.path, self.fault or ""]
        return [self.path, self.fault or "", status.st_size, status.st_mtime_ns]


def find_inputs(
    given: Sequence[str],
    *,
    but: Path | None = None,
    texts: Columns | None = None,
    table: GivenTable | None = None,
) -> list[Input]:
    """List the files, sorted by their paths; one that was reached twice is there once.

    Args:
        given: Paths of items, folders, archives, label files and tables of texts.
        but: A file that is none of them, wherever it lies: the output.
        texts: Where rows of tables are items; None: they are not.
        table: The `sole_table` of them, which is not opened once more.

    Raises:
        ParamsError: A path is not there, or there is no file in all of them.
        DataError: A label file or an archive is wrong as a whole.
    """
    found: dict[str, Input] = {}
    for each in given:
        files = _look(each, texts) if table is None else _cells(Path(each), table)
        for file in files:
            found.setdefault(file.path, file)
    if but is not None and but.exists():
        own = but.stat()
        found = {path: file for path, file in found.items() if not _is_same(file, own)}
    if not found:
        raise ParamsError(
            ", ".join(given) or "rootstock predict",
            "there is no file to predict",
            remedy=f"name {item_nouns()}, folders, .tar or .zip archives, or a label file",
        )
    return [found[path] for path in sorted(found)]


def _is_same(file: Input, own: os.stat_result) -> bool:
    if file.fault is not None:
        return False
    try:
        return os.path.samestat((file.root / file.inner).stat(), own)
    except OSError:  # missing, or in an archive
        return False


def sole_table(given: Sequence[str], texts: Columns | None) -> GivenTable | None:
    """Return the table of texts that is all that was given, if it is one.

    Raises:
        DataError: It breaks a rule of its format, or has no rows.
    """
    path = Path(given[0]) if len(given) == 1 else None
    if path is None or texts is None or not _is_table_of_texts(path):
        return None
    return open_table(_real(path), texts)


def _look(given: str, texts: Columns | None) -> Iterable[Input]:
    path = Path(given)
    if given in ("", "-"):
        raise ParamsError(
            "rootstock predict",
            "must be a path; standard input is not read",
            got=given,
            remedy=f"name {item_nouns()}, folders, archives or a label file",
        )
    if path.is_dir():
        return _with_cells(_from_folder(path, look_at(path)), texts)
    if not os.path.lexists(path):
        is_address = "://" in given
        raise ParamsError(
            given if is_address else _shown(path),
            "no such file or folder",
            remedy="nothing is fetched: download it first" if is_address else None,
        )
    fault = entry_fault(str(path), Path("/"))
    if texts is not None and _is_table_of_texts(path) and (table := _meant(path, texts)):
        return _cells(path, table)
    if path.suffix.lower() in _TABLES and (fault or not is_container(path)):
        return _from_table(path, read_text_table(path, any_form=True))
    real = _real(path)
    if fault is None and is_container(real):
        return _from_archive(path, real)
    if fault is None and is_container(path):  # a link to a file that is not called so
        return _from_archive(path, path)
    return [Input(_shown(path), real.parent, real.name, f"unsafe_path: {fault}" if fault else None)]


def _real(path: Path) -> Path:
    """Return a path, or what a link points to: whoever names a link means that."""
    return Path(os.path.realpath(path)) if path.is_symlink() else path


def _is_table_of_texts(path: Path) -> bool:
    """Return whether a path is a regular file whose name is that of such a table."""
    return path.is_file() and is_text_table(path.name) and is_text_table(_real(path).name)


def _meant(path: Path, texts: Columns) -> GivenTable | None:
    """Open a table of texts; None for a label file.

    Raises:
        DataError: It is not known which column holds texts, or there is none of the name.
    """
    real = _real(path)
    table = open_table(real, texts)
    if table is None and (texts.is_asked or "path" not in columns_of(real, texts)):
        there = f"there are {named(columns_of(real, texts))}"
        if texts.is_asked:
            raise DataError(path, f"has no column {texts.names[0]!r} of texts", remedy=there)
        raise DataError(
            path,
            "it is not known which column holds the texts",
            remedy=f"name it with --column; {there}",
        )
    return table


def _cells(path: Path, table: GivenTable) -> Iterator[Input]:
    """List the texts of a table; their rows name the path that was given for it."""
    root = table.path.parent
    for inner in table.cells():
        yield Input(_joined(path, inner.partition("/")[2]), root, inner)


def _with_cells(files: Iterable[Input], texts: Columns | None) -> Iterator[Input]:
    """Replace tables in a folder by their texts; what names no column of them keeps its row."""
    for file in files:
        if texts is None or file.fault is not None or not is_text_table(file.inner):
            yield file
            continue
        path = file.root / file.inner
        table = open_table(path, texts) if path.is_file() else None
        if table is None:
            fault = "not_text: a table without a column of texts that is known (see --column)"
            yield replace(file, fault=fault)
            continue
        home = Path(file.inner).parent
        for inner in table.cells():
            below = (home / inner).as_posix()
            yield Input(_joined(file.root, below), file.root, below)


def _from_folder(root: Path, folder: Folder) -> Iterator[Input]:
    labels = [name for name in folder.files if name.lower() in LABEL_NAMES]
    if folder.ignored or labels:
        and_labels = f", and {' and '.join(labels)}" if labels else ""
        log.info("%s: left out: %d hidden and system entries%s", root, folder.ignored, and_labels)
    for inner in folder.files:
        if inner not in labels:
            yield Input(_joined(root, inner), root, inner)
    for inner, reason, detail in folder.unsafe:
        yield Input(_joined(root, inner), root, inner, f"{reason}: {detail}")


def _from_archive(path: Path, file: Path) -> Iterator[Input]:
    """List the members of an archive file; the rows name the path that was given for it."""
    for member in _from_folder(file.parent, look_into(file.parent, file.name)):
        inner = member.inner.removeprefix(f"{file.name}/")
        yield replace(member, path=_joined(path, inner))


def _from_table(path: Path, table: TextTable) -> Iterator[Input]:
    root = path.parent
    name, notes = find_path_column(table, FileNames(_loose_files(root)))
    cells = table.column(name)
    places = [_place(root, cell) for cell in cells]
    lost = [at for at, (inner, unsafe) in enumerate(places) if unsafe or not _is_there(root, inner)]
    if lost:
        matched = _match(path, table, cells, lost, {inner for inner, _ in places})
        if matched.told:
            notes.append(
                f"{len(lost)} of {len(cells)} paths in {path} name no file as they are "
                f"written; {matched.told}"
            )
        if matched.files:
            found = {at: file for at, file in zip(lost, matched.files, strict=True) if file}
            places = [(found[at], None) if at in found else each for at, each in enumerate(places)]
            lost = [at for at in lost if at not in found]
    for note in (*table.notes, *notes):
        log.warning("%s", note)
    faults = {at: places[at][1] for at in lost}
    for at, (inner, _) in enumerate(places):
        fault = None
        if at in faults:
            unsafe = faults[at]
            reason = "unsafe_path" if unsafe else "missing_file"
            fault = f"{reason}: {table.where(at)}: {unsafe or 'no such file'}"
        yield Input(_joined(root, inner), root, inner, fault)


def _place(root: Path, cell: str) -> tuple[str, str | None]:
    """Return the place in the root that a cell names, and what makes it unsafe, or None."""
    inner, unsafe = safe_path(cell)
    within = inside(root, cell) if unsafe else None
    return (within, None) if within else (inner, unsafe)


def _is_there(root: Path, inner: str) -> bool:
    return os.path.lexists(root / split_path(root, inner)[0])


def _match(
    path: Path, table: TextTable, cells: Sequence[str], lost: Sequence[int], named: Set[str]
) -> Matched:
    """Find what paths mean that name no file as written, as `clean` does."""
    beside = {
        name: [table.rows[at][place] for at in lost] for place, name in enumerate(table.columns)
    }
    texts = [cells[at] for at in lost]
    written = Written(texts, len(lost) / len(cells), beside, home="", stem=path.stem)
    files = [*_loose_files(path.parent)]
    return match_paths(written, files, named & {*files})


def _loose_files(root: Path) -> Iterator[str]:
    """List the files below a folder; of too many, or where one cannot be looked into, none."""
    files: list[str] = []
    try:
        for entry in walk(str(root), skips=is_ignored):
            if len(files) >= _MOST_LISTED:
                return
            if not is_ignored(entry.name) and entry.is_file(follow_symlinks=False):
                files.append(_shown(Path(entry.path).relative_to(root)))
    except OSError:
        return
    yield from sorted(files)


def _joined(root: Path, inner: str) -> str:
    """Name a file in a folder; the rest stays as it was written, also where it leads out of it."""
    name = _shown(root)
    return inner if name == "." else f"{name.rstrip('/')}/{inner}"


def _shown(path: Path) -> str:
    return os.fsencode(path).decode("utf-8", "backslashreplace")
