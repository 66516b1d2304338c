"""JSON Lines: a line is an object, and a row; its keys are the columns."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pipeline.ground.errors import DataError
from pipeline.raw.archive.archive import RawFault
from pipeline.raw.texts.lines import START, Lines, Place


class JsonLines:
    """A file of JSON Lines.

    Args:
        path: A regular file.
        name: What it is called.
        column: The key of the texts; it need not be there.
        encoding: As Python calls it.

    Raises:
        DataError: It is no regular file.
        OSError: It cannot be opened.
    """

    def __init__(self, path: Path, name: str, column: str, encoding: str) -> None:
        self.path = path
        self._column = column
        self._lines = Lines(path, name, encoding)

    @property
    def has_escaped(self) -> bool:
        """Whether a line so far had a byte that is none of the encoding."""
        return self._lines.has_escaped

    def text_of(self, record: Mapping[str, Any]) -> str | None:
        """Return the text in a row: text as it is, a number as it is written; None without any.

        Raises:
            RawFault: It is a list or an object.
        """
        value = record.get(self._column)
        if isinstance(value, list | dict):
            kind = "a list" if isinstance(value, list) else "an object"
            raise RawFault("damaged", f"its {self._column!r} is {kind}, and no text")
        return value if isinstance(value, str) else as_cell(value) or None

    def written(self, record: Mapping[str, Any], text: str) -> str:
        """Return a row with another text as a line of this table, without its end."""
        return json.dumps({**record, self._column: text})

    def rows(self, start: Place | None = None) -> Iterator[tuple[Place, dict[str, Any]]]:
        """Read rows with their places, from that of a row on; blank lines are none.

        Raises:
            DataError: A line is no object; it is named.
        """
        place = start or START
        self._lines.seek(place)
        for line in self._lines:
            if not line.isspace():
                yield place, self._read(line, place)
            place = self._lines.next

    def _read(self, line: str, place: Place) -> dict[str, Any]:
        where, rule = f"{self.path}:{place.number}", "must be a JSON object on each line"
        try:
            record = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise DataError(where, rule, remedy=f"{error}") from error
        if not isinstance(record, dict):
            raise DataError(where, rule, got=type(record).__name__)
        return record


def whole(text: str) -> str:
    """Return a text that UTF-8 can hold: a lone surrogate, which JSON can write, is replaced."""
    return text if text.isascii() else text.encode("utf-8", "replace").decode("utf-8")


def as_cell(value: Any) -> str:
    """Return a plain value as the text of a cell, without blanks around; "" where there is none."""
    if value is None or value != value:  # NaN, as pandas writes a missing value
        return ""
    return value.strip() if isinstance(value, str) else json.dumps(value)
