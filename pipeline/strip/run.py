"""A copy of a raw folder without what its items tell of people, places and machines.

Every file is an item that is written anew, or a table or note that is copied as it is, or is left
out and told of: nothing is copied in silence. The copy is whole or absent.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Literal

from pipeline.compute.engine import Lost, MachineParams, map_in_order
from pipeline.ground.errors import DataError, ParamsError
from pipeline.ground.files import copy_file, replacing_folder
from pipeline.modality.stripping import strip_of
from pipeline.modality.table import OF_TEXT
from pipeline.modality.types.stripping import CannotStrip, Strip
from pipeline.raw.containers import SUFFIXES
from pipeline.raw.folder import Folder, look_at
from pipeline.raw.item_names import modality_of_names
from pipeline.raw.sidecars import find_sidecars
from pipeline.raw.sniff import HEAD_BYTES
from pipeline.raw.source import RawFault, read_raw
from pipeline.raw.texts.cell_paths import is_text_table
from pipeline.raw.texts.text_files import TEXT_FILES, find_text_files
from pipeline.strip.tables import Table, count_table, strip_table

_NAME = "rootstock data strip"
_TELLING = (".xmp", ".thm")
"""Ends of the names of notes that hold what is taken out of the items beside them."""


@dataclass(frozen=True)
class Options:
    """How a folder is copied."""

    text: str | None
    """`data.text`: the column of tables, `.txt`, or None."""

    encoding: str | None
    """`data.encoding`: of tables."""

    texts: Literal["keep", "mask"]
    """What becomes of texts that lead to a person."""

    machine: MachineParams


@dataclass(frozen=True)
class Done:
    """What became of one file of items."""

    path: str
    items: int = 0
    kinds: Counter[str] = field(default_factory=Counter)
    """Items by what was found in them."""

    is_changed: bool = False
    bytes_less: int = 0
    """Of the copy."""

    left_out: str | None = None
    """Why there is no copy."""


@dataclass
class Summary:
    """What became of all files."""

    files: int = 0
    """Of items, that were written."""

    items: int = 0
    changed: int = 0
    """Files of items that are not as they were."""

    kinds: Counter[str] = field(default_factory=Counter)
    bytes_less: int = 0
    notes: list[str] = field(default_factory=list)
    """Tables and notes beside the items, which are as they were."""

    left_out: list[tuple[str, str]] = field(default_factory=list)
    """Path and reason."""

    ignored: int = 0
    """Hidden and system entries, which are left out."""

    def add(self, done: Done) -> None:
        """Count one file of items."""
        if done.left_out is not None:
            self.left_out.append((done.path, done.left_out))
            return
        self.files += 1
        self.items += done.items
        self.changed += done.is_changed
        self.kinds.update(done.kinds)
        self.bytes_less += done.bytes_less


def strip_folder(raw: Path, out: Path, options: Options) -> Summary:
    """Write the copy.

    Args:
        raw: The raw folder; it is not changed.
        out: Must not be there.
        options: What items are, and what becomes of texts.

    Raises:
        ParamsError: `out` is there, or one folder lies in the other.
        DataError: `raw` is no folder, or no item of it can be written.
    """
    _refuse_places(raw, out)
    folder = look_at(raw, opens=lambda _: False)
    part = strip_of(OF_TEXT if options.text else modality_of_names(folder.files))
    items = _find_items(raw, folder, part, options.text)
    others = [path for path in folder.files if path not in items]
    summary = Summary(ignored=folder.ignored)
    summary.left_out += [(path, fault) for path, _, fault in folder.unsafe]
    with replacing_folder(out) as scratch:
        for path in folder.files:
            (scratch / path).parent.mkdir(parents=True, exist_ok=True)
        for done in _strip_items(raw, scratch, sorted(items), part, options):
            summary.add(done)
        _copy_notes(raw, scratch, others, summary)
        if not summary.files:
            path, why = next(iter(summary.left_out), ("", ""))
            first = f"; the first: {path!r}: {why}" if why else ""
            raise DataError(
                raw, f"has no item that can be written{first}", remedy="is `data.text` right?"
            )
        _remove_empty(scratch)
    summary.left_out.sort()
    return summary


def _refuse_places(raw: Path, out: Path) -> None:
    rule = None
    if out.exists() or out.is_symlink():
        rule = "must not be there yet"
    elif out.resolve().is_relative_to(raw.resolve()):
        rule = "must not lie in the raw folder"
    if rule:
        raise ParamsError(_NAME, rule, field="OUT", got=str(out), remedy="name another folder")


def _find_items(raw: Path, folder: Folder, part: Strip, text: str | None) -> frozenset[str]:
    """Return the files that are items, or tables of them."""
    if text == TEXT_FILES:
        return find_text_files(raw, folder)
    if text is not None:
        return frozenset(filter(is_text_table, folder.files))
    return frozenset(path for path in folder.files if part.is_item(path, _head(raw / path)))


def _head(path: Path) -> bytes:
    try:
        with path.open("rb") as stream:
            return stream.read(HEAD_BYTES)
    except OSError:  # nobody may read it: what its name promises counts
        return b""


def _strip_items(
    raw: Path, out: Path, items: list[str], part: Strip, options: Options
) -> Iterator[Done]:
    if options.text in (None, TEXT_FILES):
        yield from map_in_order(
            partial(_strip_file, raw, out, part, options.texts == "mask" or not options.text),
            items,
            options.machine,
            title="strip",
            limits=part.limits,
            lost=partial(_lost, out),
        )
        return
    for path in items:
        yield _strip_table(raw, out, path, part, options)


def _strip_file(raw: Path, out: Path, part: Strip, is_written: bool, path: str) -> Done:
    try:
        content = read_raw(raw, path, part.limits.bytes)
        found = part.strip(content)
    except (RawFault, CannotStrip) as fault:
        return Done(path, left_out=str(fault))
    plain = found.content if is_written else content
    (out / path).write_bytes(plain)
    kinds = Counter(found.kinds.keys())
    return Done(path, 1, kinds, plain != content, len(content) - len(plain))


def _lost(out: Path, path: str, loss: Lost) -> Done:
    (out / path).unlink(missing_ok=True)
    return Done(path, left_out=f"decoder_{loss.reason}: {loss.detail}")


def _strip_table(raw: Path, out: Path, path: str, part: Strip, options: Options) -> Done:
    source, target = raw / path, out / path
    table = Table(source, str(options.text), part.strip)
    if options.texts == "mask":
        strip_table(table, target, options.encoding)
    else:
        count_table(table, options.encoding)
    if options.texts == "keep" or not table.kinds:
        copy_file(source, target)
    less = source.stat().st_size - target.stat().st_size
    is_changed = options.texts == "mask" and bool(table.kinds)
    return Done(path, table.rows, table.kinds, is_changed, less)


def _copy_notes(raw: Path, out: Path, others: list[str], summary: Summary) -> None:
    notes = find_sidecars(others)
    for path in others:
        if path in notes and not path.lower().endswith(_TELLING):
            copy_file(raw / path, out / path)
            summary.notes.append(path)
        else:
            summary.left_out.append((path, _why_not(path)))


def _why_not(path: str) -> str:
    if path.lower().endswith(SUFFIXES):
        return "it holds other files: unpack it first"
    if path.lower().endswith(_TELLING):
        return "it holds what is taken out of the item beside it"
    return "nobody knows what it carries"


def _remove_empty(folder: Path) -> None:
    for each in sorted(folder.rglob("*"), reverse=True):
        if each.is_dir() and not any(each.iterdir()):
            each.rmdir()
