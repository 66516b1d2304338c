"""What a body asks: its items, whatever the form in which a client sends them."""

import asyncio
import csv
import io
from codecs import BOM_UTF8
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from http import HTTPStatus
from urllib.parse import parse_qsl

from pipeline.raw.sniff import HEAD_BYTES, item_format, unread_format
from pipeline.serving.replicas.http_errors import Refusal, malformed, too_many, unprocessable
from pipeline.serving.request.charset import as_utf8
from pipeline.serving.request.multipart import Part, split_form
from pipeline.serving.request.shapes import Shapes

JSON = "application/json"
BYTES = "application/octet-stream"
FORM = "multipart/form-data"
CSV = "text/csv"
_URLENCODED = "application/x-www-form-urlencoded"
_INLINE_BYTES = 256_000
"""Larger bodies are taken apart in a thread: others are answered meanwhile."""

_MOST_FIELDS = 100
"""Fields of a form beside its items."""

_FIELDS = {"file", "files", "files[]", "instances", "b64"}
"""Names of text fields that hold an item; others do where their value is a `data:` URL."""

_LOST = frozenset(b"\0\r\n")
"""Bytes that `curl -d` takes out of a file; most files have some of them."""

_TEXTS = (b"data:", b"http://", b"https://")
"""How a text begins that is read as one, if only to say what is wrong with it."""

_OF_FIELDS = "text/plain"
"""The type of a form's fields that name none."""


@dataclass(frozen=True)
class Parsed:
    """The items of a body.

    Attributes:
        items: As they were in files.
        is_list: Whether the answer is a list, also for one item.
    """

    items: list[bytes]
    is_list: bool


async def parse_body(body: bytes, content_type: str, shapes: Shapes) -> Parsed:
    """Take the items out of a body.

    Args:
        body: All of it, unpacked.
        content_type: The header; empty where there is none.
        shapes: Reads JSON; knows what an item is, and how many there may be.

    Raises:
        Refusal: It has none, too many, or a form that is not read here.
    """
    reader = _BodyReader(shapes, content_type)
    read = reader.choose(body)
    if len(body) < _INLINE_BYTES or read == reader.read_bytes:
        return read(body)
    return await asyncio.to_thread(read, body)


class _BodyReader:
    """Reads one body.

    Args:
        shapes: As `parse_body` takes it.
        content_type: Likewise.
    """

    def __init__(self, shapes: Shapes, content_type: str) -> None:
        self._shapes = shapes
        self._item = shapes.item
        self._most = shapes.most
        self._type = content_type
        self._media = f"{shapes.item.media}/"
        self._by_kind: dict[str, Callable[[bytes], Parsed]] = {
            BYTES: self.read_bytes,
            JSON: self._read_json,
            "text/json": self._read_json,
            "binary/octet-stream": self.read_bytes,
            FORM: self._read_form,
            CSV: self._read_csv,
            "application/csv": self._read_csv,
        }

    def choose(self, body: bytes) -> Callable[[bytes], Parsed]:
        """Choose by the type, or by the bytes where the type is none that has a form of its own."""
        kind = self._type.partition(";")[0].strip().lower()
        if read := self._by_kind.get(kind):
            return read
        if kind.startswith(self._media) and kind != self._media:
            return self.read_bytes
        if kind.endswith("+json"):
            return self._read_json
        if read := self._guess(kind, body):
            return read
        if not body:
            raise unprocessable("empty", "the request has no body")
        raise Refusal(
            HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
            "media_type",
            f"Content-Type must be {self._media}*, {BYTES}, {FORM} or {JSON}, "
            + (f"got {kind[:80]!r}" if kind else "and is missing")
            + ", and the body does not look like one of them",
        )

    def _guess(self, kind: str, body: bytes) -> Callable[[bytes], Parsed] | None:
        head = body[:HEAD_BYTES]
        start = head.removeprefix(BOM_UTF8).lstrip()[:8].lower()
        if start[:1] in (b"{", b"[", b'"'):
            return self._read_json
        if start.startswith(_TEXTS):
            return self._read_text
        if kind == _URLENCODED and not body.isascii() and not _LOST.intersection(body):
            return self._read_urlencoded
        if item_format(head) or unread_format(head) or self._item.from_bytes(body) is not body:
            return self.read_bytes
        if self._item.is_text and body and not kind:
            return self.read_bytes
        return self._read_urlencoded if kind == _URLENCODED and b"=" in head else None

    def read_bytes(self, body: bytes) -> Parsed:
        """Take the body for one item as it is; a text by its charset."""
        return Parsed([self._take(body, self._type)], is_list=False)

    def _read_text(self, body: bytes) -> Parsed:
        text = body.decode("utf-8", "surrogateescape")
        return Parsed([self._shapes.read_text("the body", text)], is_list=False)

    def _read_json(self, body: bytes) -> Parsed:
        if found := item_format(body[:HEAD_BYTES]):
            raise malformed(
                "json",
                f"the body is no JSON, but a {found} {self._item.one} (send it as {self._media}*)",
            )
        return Parsed(*self._shapes.read_json(body))

    def _read_form(self, body: bytes) -> Parsed:
        parts = []
        for part in split_form(body, self._type):
            parts.append(part)
            if len(parts) > self._most + _MOST_FIELDS:
                raise too_many(self._item.many, self._most, len(parts))
        found = (item for each in parts if (item := self._read_part(each)) is not None)
        return self._files(found, [part.name for part in parts])

    def _read_part(self, part: Part) -> bytes | None:
        """Return the item in a part of a form; None for other fields, and no chosen file."""
        if part.filename == "" and not part.content:
            return None
        is_file = part.filename is not None or part.kind == BYTES
        is_file = is_file or (part.kind.startswith(self._media) and part.kind != _OF_FIELDS)
        if is_file or item_format(part.content[:HEAD_BYTES]):
            return self._take(part.content, part.content_type)
        content = self._as_utf8(part.content, part.content_type)
        return self._read_field(part.name, content.decode("utf-8", "surrogateescape"))

    def _take(self, content: bytes, content_type: str) -> bytes:
        return self._item.from_bytes(self._as_utf8(content, content_type))

    def _as_utf8(self, content: bytes, content_type: str) -> bytes:
        return as_utf8(content, content_type) if self._item.is_text else content

    def _read_urlencoded(self, body: bytes) -> Parsed:
        try:
            fields = parse_qsl(
                body.decode("ascii"),
                strict_parsing=True,
                errors="surrogateescape",
                max_num_fields=self._most + _MOST_FIELDS,
            )
        except ValueError:
            raise malformed(
                "urlencoded",
                "the body is no form of ASCII fields and values (send a file as `curl -F "
                "file=@FILE` does; `curl -d` takes line ends out of it)",
            ) from None
        if not self._item.is_text:
            # A plus sign that was not escaped arrives as a blank; base64 has no blanks of its own.
            fields = [(name, value.replace(" ", "+")) for name, value in fields]
        found = (self._read_field(name, value) for name, value in fields)
        return self._files(
            (each for each in found if each is not None), [name for name, _ in fields]
        )

    def _read_field(self, name: str, text: str) -> bytes | None:
        is_named = name in _FIELDS or name in self._item.fields
        if not is_named and (self._item.is_text or text.lstrip()[:5].lower() != "data:"):
            return None
        if not text.strip():
            return None
        return self._shapes.read_text(f"the field {name[:80]!r}", text)

    def _files(self, found: Iterable[bytes], names: list[str]) -> Parsed:
        items = list(found)
        if len(items) > self._most:
            raise too_many(self._item.many, self._most, len(items))
        if not items:
            fields = ", ".join(repr(name[:40]) for name in names[:5]) or "none"
            raise unprocessable("no_file", f"the form has no file, its fields are: {fields}")
        return Parsed(items, is_list=len(items) > 1)

    def _read_csv(self, body: bytes) -> Parsed:
        csv.field_size_limit(max(csv.field_size_limit(), len(body)))  # of all; the body is bounded
        try:
            text = self._as_utf8(body, self._type).decode("utf-8-sig")
            header, *rows = [
                row for row in csv.reader(io.StringIO(text, newline=""), strict=True) if row
            ]
        except (ValueError, csv.Error):
            raise malformed("csv", "the body is no table of comma-separated values") from None
        at = header.index(self._shapes.choose_column("the header", header))
        name = header[at].encode()
        is_item = self._item.is_text and header[at] != self._item.column
        if is_item or self._item.from_bytes(name) is not name:
            raise unprocessable(
                "csv", f'the first line must name the column, "{self._item.column}"'
            )
        if any(len(row) != len(header) for row in rows):
            raise unprocessable(
                "csv", f"each line must have {len(header)} cells, as the header has"
            )
        cells = [(f"line {number} of the table", row[at]) for number, row in enumerate(rows, 1)]
        return Parsed(self._shapes.read_cells(cells), is_list=True)
