"""What a body asks: its pictures, whatever the form in which a client sends them."""

import asyncio
import csv
import io
from codecs import BOM_UTF8
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from http import HTTPStatus
from urllib.parse import parse_qsl

from pipeline.picture.read.text_form import from_bytes
from pipeline.raw.sniff import HEAD_BYTES, item_format, unread_format
from pipeline.serving.replicas.http_errors import (
    Refusal,
    malformed,
    too_many_pictures,
    unprocessable,
)
from pipeline.serving.request.multipart import Part, split_form
from pipeline.serving.request.shapes import COLUMN, choose_column, read_cells, read_json, read_text

JSON = "application/json"
BYTES = "application/octet-stream"
FORM = "multipart/form-data"
CSV = "text/csv"
_URLENCODED = "application/x-www-form-urlencoded"
_IMAGE = "image/"
_INLINE_BYTES = 256_000
"""Larger bodies are taken apart in a thread: others are answered meanwhile."""

_MOST_FIELDS = 100
"""Fields of a form beside its pictures."""

_FIELDS = {"image", "images", "images[]", "file", "files", "files[]", "picture", "instances", "b64"}
"""Names of text fields that hold a picture; others do where their value is a `data:` URL."""


_LOST = frozenset(b"\0\r\n")
"""Bytes that `curl -d` takes out of a file; a picture has some of them."""

_TEXTS = (b"data:", b"http://", b"https://")
"""How a text begins that is read as one, if only to say what is wrong with it."""


@dataclass(frozen=True)
class Parsed:
    """The pictures of a body.

    Attributes:
        pictures: Encoded, as they were in files.
        is_list: Whether the answer is a list, also for one picture.
    """

    pictures: list[bytes]
    is_list: bool


async def parse_body(body: bytes, content_type: str, most: int) -> Parsed:
    """Take the pictures out of a body.

    Args:
        body: All of it, unpacked.
        content_type: The header; empty where there is none.
        most: Pictures that it may have.

    Raises:
        Refusal: It has none, too many, or a form that is not read here.
    """
    kind = content_type.partition(";")[0].strip().lower()
    read = _find_reader(kind, body)
    if len(body) < _INLINE_BYTES or read is _read_bytes:
        return read(body, content_type, most)
    return await asyncio.to_thread(read, body, content_type, most)


_Reader = Callable[[bytes, str, int], Parsed]


def _find_reader(kind: str, body: bytes) -> _Reader:
    """Choose by the type, or by the bytes where the type is none that has a form of its own."""
    if kind.startswith(_IMAGE) and kind != _IMAGE:
        return _read_bytes
    if kind.endswith("+json"):
        return _read_json
    if reader := _READERS.get(kind) or _guess_reader(kind, body):
        return reader
    if not body:
        raise unprocessable("empty", "the request has no body")
    raise Refusal(
        HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
        "media_type",
        f"Content-Type must be image/*, {BYTES}, {FORM} or {JSON}, "
        + (f"got {kind[:80]!r}" if kind else "and is missing")
        + ", and the body does not look like one of them",
    )


def _guess_reader(kind: str, body: bytes) -> _Reader | None:
    head = body[:HEAD_BYTES]
    start = head.removeprefix(BOM_UTF8).lstrip()[:8].lower()
    if start[:1] in (b"{", b"[", b'"'):
        return _read_json
    if start.startswith(_TEXTS):
        return _read_text
    if kind == _URLENCODED and not body.isascii() and not _LOST.intersection(body):
        return _read_urlencoded
    if item_format(head) or unread_format(head) or from_bytes(body) is not body:
        return _read_bytes
    return _read_urlencoded if kind == _URLENCODED and b"=" in head else None


def _read_bytes(body: bytes, content_type: str, most: int) -> Parsed:
    del content_type, most
    return Parsed([from_bytes(body)], is_list=False)


def _read_text(body: bytes, content_type: str, most: int) -> Parsed:
    del content_type, most
    return Parsed([read_text("the body", body.decode("utf-8", "replace"))], is_list=False)


def _read_json(body: bytes, content_type: str, most: int) -> Parsed:
    del content_type
    if found := item_format(body[:HEAD_BYTES]):
        raise malformed("json", f"the body is no JSON, but a {found} picture (send it as image/*)")
    return Parsed(*read_json(body, most))


def _read_form(body: bytes, content_type: str, most: int) -> Parsed:
    parts = []
    for part in split_form(body, content_type):
        parts.append(part)
        if len(parts) > most + _MOST_FIELDS:
            raise too_many_pictures(most, len(parts))
    return _files(
        (picture for each in parts if (picture := _read_part(each)) is not None),
        [part.name for part in parts],
        most,
    )


def _read_part(part: Part) -> bytes | None:
    """Return the picture in a part of a form; None for other fields, and no chosen file."""
    if part.filename == "" and not part.content:
        return None
    is_file = part.filename is not None or part.kind == BYTES or part.kind.startswith(_IMAGE)
    if is_file or item_format(part.content[:HEAD_BYTES]):
        return from_bytes(part.content)
    return _read_field(part.name, part.content.decode("utf-8", "replace"))


def _read_urlencoded(body: bytes, content_type: str, most: int) -> Parsed:
    del content_type
    try:
        fields = parse_qsl(
            body.decode("ascii"), strict_parsing=True, max_num_fields=most + _MOST_FIELDS
        )
    except ValueError:
        raise malformed(
            "urlencoded",
            "the body is no form of ASCII fields and values (send a file as `curl -F file=@FILE` "
            "does; `curl -d` takes line ends out of it)",
        ) from None
    # A plus sign that was not escaped arrives as a blank; base64 has no blanks of its own.
    found = (_read_field(name, value.replace(" ", "+")) for name, value in fields)
    return _files((each for each in found if each is not None), [name for name, _ in fields], most)


def _read_field(name: str, text: str) -> bytes | None:
    if name not in _FIELDS and text.lstrip()[:5].lower() != "data:":
        return None
    return read_text(f"the field {name[:80]!r}", text) if text.strip() else None


def _files(found: Iterable[bytes], names: list[str], most: int) -> Parsed:
    pictures = list(found)
    if len(pictures) > most:
        raise too_many_pictures(most, len(pictures))
    if not pictures:
        fields = ", ".join(repr(name[:40]) for name in names[:5]) or "none"
        raise unprocessable("no_file", f"the form has no file, its fields are: {fields}")
    return Parsed(pictures, is_list=len(pictures) > 1)


def _is_text_of_picture(text: str) -> bool:
    raw = text.encode()
    return from_bytes(raw) is not raw


def _read_csv(body: bytes, content_type: str, most: int) -> Parsed:
    del content_type
    csv.field_size_limit(max(csv.field_size_limit(), len(body)))  # of all; the body is bounded
    try:
        text = body.decode("utf-8-sig")
        header, *rows = [
            row for row in csv.reader(io.StringIO(text, newline=""), strict=True) if row
        ]
    except (ValueError, csv.Error):
        raise malformed("csv", "the body is no table of comma-separated values") from None
    at = header.index(choose_column("the header", header))
    if _is_text_of_picture(header[at]):
        raise unprocessable("csv", f'the first line must name the column, "{COLUMN}"')
    if any(len(row) != len(header) for row in rows):
        raise unprocessable("csv", f"each line must have {len(header)} cells, as the header has")
    cells = [(f"line {number} of the table", row[at]) for number, row in enumerate(rows, 1)]
    return Parsed(read_cells(cells, most), is_list=True)


_READERS: dict[str, _Reader] = {
    BYTES: _read_bytes,
    JSON: _read_json,
    "text/json": _read_json,
    "binary/octet-stream": _read_bytes,
    FORM: _read_form,
    CSV: _read_csv,
    "application/csv": _read_csv,
}
