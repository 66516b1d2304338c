"""Tables of separated values: CSV by RFC 4180, and TSV, where a quote need not quote.

A cell in quotes may hold anything; one without them ends at the separator or at the line's end, and
a quote or a carriage return within it is itself. What a cell of text holds stays as it is.
"""

import csv
import io
from collections.abc import Iterator, Sequence
from pathlib import Path

from pipeline.ground.errors import DataError
from pipeline.raw.texts.lines import START, Lines, Place
from pipeline.raw.texts.missing_column import refuse_twice, without_text

_SEPARATORS = (",", ";", "\t", "|")
_MOST_CHARS = 1 << 26
"""In a cell."""

_RETURN = "\udc0d"
"""Stands for a carriage return within a line, which `csv` refuses: no UTF-8 holds it."""


class Delimited:
    """A table of separated values.

    Args:
        path: A regular file.
        name: What it is called. A `.csv` may be separated by other characters too: by the one with
            which the header has the column.
        column: That of the texts; None: not known yet.
        encoding: As Python calls it.

    Raises:
        DataError: It is empty or UTF-16, its header is no row of such a table, or has no such
            column.
        OSError: It cannot be opened.
    """

    def __init__(self, path: Path, name: str, column: str | None, encoding: str) -> None:
        csv.field_size_limit(max(_MOST_CHARS, csv.field_size_limit()))
        self.path = path
        self._lines = Lines(path, name, encoding)
        self._is_tsv = name.lower().removesuffix(".gz").endswith(".tsv")
        self._is_plain = self._has_returns = False
        self._separator, header, self._first = self._read_header(column)
        self.columns = tuple(name.strip() for name in header)
        refuse_twice(path, filter(None, self.columns))
        if column is not None and column not in self.columns:
            raise without_text(path, column, self.columns)
        self._place = self.columns.index(column) if column is not None else 0
        if self._is_tsv and '"' in "".join(header) + self._some_quote():
            self._is_plain = not self._is_quoted()

    @property
    def has_escaped(self) -> bool:
        """Whether a line so far had a byte that is none of the encoding."""
        return self._lines.has_escaped

    def text_of(self, cells: Sequence[str]) -> str:
        """Return the text in a row, as it stands there."""
        return cells[self._place]

    def written(self, cells: Sequence[str], text: str) -> str:
        """Return a row with another text as a line of this table, without its end."""
        changed = [*cells]
        changed[self._place] = text
        if self._is_plain:
            return self._separator.join(changed)
        line = io.StringIO()
        csv.writer(line, delimiter=self._separator, lineterminator="").writerow(changed)
        return line.getvalue()

    def rows(self, start: Place | None = None) -> Iterator[tuple[Place, list[str]]]:
        """Read rows with their places, from that of a row on; lines without anything are none.

        Raises:
            DataError: A row is wrong; its line is named.
        """
        place = start or self._first
        width = len(self.columns)
        self._lines.seek(place)
        rows = self._plain_rows() if self._is_plain else self._quoted_rows(self._separator)
        for cells in rows:
            if cells:
                if len(cells) != width:
                    cells = self._fitted(place, cells, width)
                yield place, cells
            place = self._lines.next

    def _read_header(self, column: str | None) -> tuple[str, list[str], Place]:
        """Return the separator, the names of the columns, and where the first row begins."""
        found: list[tuple[bool, int, str, list[str], Place]] = []
        fault: DataError | None = None
        for separator in ("\t",) if self._is_tsv else _SEPARATORS:
            self._lines.seek(START)
            try:
                header = next(filter(None, self._quoted_rows(separator)), None)
            except DataError as error:
                fault = fault or error
                continue
            if header is None or not "".join(header).strip():
                raise DataError(self.path, "is empty")
            if "\r" in "".join(header).strip():
                raise DataError(
                    self.path,
                    "has lines that end with a carriage return alone",
                    remedy="save it with line feeds, as `tr '\\r' '\\n'` does",
                )
            names = [name.strip() for name in header]
            found.append((column in names, len(names), separator, header, self._lines.next))
        if not found:
            raise fault or DataError(self.path, "is empty")
        best = max(found, key=lambda each: each[:2])
        return best[2:]

    def _quoted_rows(self, separator: str) -> Iterator[list[str]]:
        reader = csv.reader(self._guarded(), strict=True, delimiter=separator)
        while True:
            line = self._lines.next.number
            try:
                cells = next(reader, None)
            except csv.Error as error:
                raise DataError(
                    f"{self.path}:{line}",
                    f"not valid CSV: {_fault(error)}",
                    remedy='a cell with a quote, a separator or a line end stands in quotes, "..", '
                    "and a quote in it is doubled",
                ) from error
            if cells is None:
                return
            if self._has_returns:
                cells = [cell.replace(_RETURN, "\r") for cell in cells]
            yield cells

    def _guarded(self) -> Iterator[str]:
        for line in self._lines:
            if "\r" in line:
                end = "\r\n" if line.endswith("\r\n") else ""
                inner = line.removesuffix(end)
                self._has_returns |= "\r" in inner
                line = inner.replace("\r", _RETURN) + end
            yield line

    def _plain_rows(self) -> Iterator[list[str]]:
        for line in self._lines:
            text = line.removesuffix("\n").removesuffix("\r")
            yield text.split(self._separator) if text else []

    def _some_quote(self) -> str:
        self._lines.seek(self._first)
        return '"' if any('"' in line for line in self._lines) else ""

    def _is_quoted(self) -> bool:
        try:
            for _ in self.rows():
                pass
        except DataError:
            return False
        return True

    def _fitted(self, place: Place, cells: list[str], width: int) -> list[str]:
        """Return a row with as many cells as the header; empty ones may be too many."""
        if len(cells) > width and not any(cells[width:]):
            return cells[:width]
        raise DataError(
            f"{self.path}:{place.number}",
            f"must have {width} cells, as the header has",
            got=len(cells),
            remedy="a cell that holds a separator needs quotes",
        )


def _fault(error: csv.Error) -> str:
    if "end of data" in str(error):
        return "a quote is opened and never closed"
    return str(error).replace("field", "a cell is", 1) if "limit" in str(error) else str(error)
