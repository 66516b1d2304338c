"""The rows of a review file, changed one at a time: all other rows keep their bytes."""

import csv
import io
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from pipeline.ground.errors import MachineError
from pipeline.ground.files import replacing
from pipeline.ground.locks import wait_for_lock
from pipeline.manifest.review import COLUMNS
from pipeline.raw.labels.text_table import read_text_table

Cells = Mapping[str, str]
"""A row by column, without its id: decision, by, when, note."""

OWN = COLUMNS[1:]
_PATIENCE_S = 10.0
_LOOK_S = 0.02


@dataclass(frozen=True, eq=False)
class _Part:
    """Some lines of the file: a row of an item, or what stands between rows."""

    text: str
    id: str | None = None
    cells: Mapping[str, str] | None = None


class Sheet:
    """The text of a review file, cut into its rows.

    Args:
        path: The file; it need not exist.

    Raises:
        DataError: It is no table with the columns id and decision.
    """

    def __init__(self, path: Path) -> None:
        self._columns: Sequence[str] = COLUMNS
        self._parts = [_Part(",".join(COLUMNS) + "\n")]
        if path.exists():
            table = read_text_table(path, may_be_empty=True)
            for name in COLUMNS[:2]:
                table.column(name)
            self._columns = table.columns
            text = path.read_bytes().decode("utf-8")
            self._parts = list(_cut(io.StringIO(text, newline="").readlines(), table.columns))

    @property
    def text(self) -> str:
        """The whole file."""
        return "".join(part.text for part in self._parts)

    @property
    def ids(self) -> set[str]:
        """The items that have a row, decided or not."""
        return {part.id for part in self._parts if part.id}

    def cells(self, item: str) -> Cells | None:
        """Return an item's row: of several the first one that decides; None where it has none."""
        rows = [part.cells or {} for part in self._parts if part.id == item]
        named = [{name: row.get(name, "").strip() for name in OWN} for row in rows]
        return next((row for row in named if row["decision"]), named[0] if named else None)

    def put(self, item: str, cells: Cells | None) -> None:
        """Set the one row of an item: in its place, or at the end; None removes all its rows."""
        places = [place for place, part in enumerate(self._parts) if part.id == item]
        first = places[0] if places else len(self._parts)
        old = self._parts[first].cells if places else {"id": item}
        for place in reversed(places):
            del self._parts[place]
        if cells is None:
            return
        if first and not self._parts[first - 1].text.endswith(("\n", "\r")):
            self._parts.insert(first, _Part("\n"))
            first += 1
        self._parts.insert(first, self._part(item, {**(old or {}), **cells}))

    def _part(self, item: str, cells: Mapping[str, str]) -> _Part:
        stream = io.StringIO()
        end = "\r\n" if self._parts[0].text.endswith("\r\n") else "\n"
        csv.writer(stream, lineterminator=end).writerow(
            cells.get(name, "") for name in self._columns
        )
        return _Part(stream.getvalue(), item, cells)


def _cut(lines: Sequence[str], columns: Sequence[str]) -> Iterator[_Part]:
    """Cut a file that is known to be valid into its rows."""
    reader = csv.reader(lines, strict=True)
    start, is_headed = 0, False
    for row in reader:
        text, start = "".join(lines[start : reader.line_num]), reader.line_num
        if not row or not is_headed:
            is_headed = is_headed or bool(row)
            yield _Part(text)
            continue
        cells = dict(zip(columns, row, strict=True))
        yield _Part(text, cells["id"].strip().lower(), cells)


@contextmanager
def editing(path: Path) -> Iterator[Sheet]:
    """Lock a review file, read it, and write what the block changed: whole, or not at all.

    Every process of this clone that changes the file does it by this function. When the block has
    ended, what it wrote is on the disk.

    Raises:
        DataError: The file is no table with the columns id and decision.
        MachineError: Another process holds the lock for too long, or the disk knows no locks.
    """
    with _locked(path):
        sheet = Sheet(path)
        before = sheet.text
        yield sheet
        if sheet.text != before:
            with replacing(path) as scratch:
                scratch.write_bytes(sheet.text.encode())


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    lock = path.parent.parent / ".rootstock" / "locks" / "review.lock"
    lock.parent.mkdir(parents=True, exist_ok=True)
    with lock.open("a", encoding="utf-8") as stream:
        if not wait_for_lock(stream, lock, timeout_s=_PATIENCE_S, pause_s=_LOOK_S):
            raise MachineError(path, "another process is writing it", remedy="try again")
        yield  # closing the file ends the lock
