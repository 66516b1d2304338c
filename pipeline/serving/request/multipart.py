"""`multipart/form-data`, as browsers, curl and HTTP libraries write it, taken apart.

Contents are cut out of the body as they are: a picture's bytes may look like lines of text, so no
parser of mail, which reads lines, is asked for more than a part's few header lines.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from email.message import Message
from email.parser import HeaderParser

from pipeline.serving.replicas.http_errors import malformed

_MOST_HEADER_BYTES = 16_384
_MOST_BOUNDARY = 200
"""RFC 2046 allows 70."""


@dataclass(frozen=True)
class Part:
    """One field of a form.

    Attributes:
        name: Of the field.
        filename: None for a field that is no file; empty where a browser's user chose none.
        kind: Its Content-Type in lower case; `text/plain` where it names none.
        content_type: The header's value as it is; empty where there is none.
        content: Its bytes.
    """

    name: str
    filename: str | None
    kind: str
    content_type: str
    content: bytes


def split_form(body: bytes, content_type: str) -> Iterator[Part]:
    """Yield the parts of a form in their order.

    Args:
        body: All of it.
        content_type: The header's value, which names the boundary.

    Raises:
        Refusal: There is no boundary, or the body is not divided by it.
    """
    mark = b"--" + _boundary(content_type)
    at = 0 if body.startswith(mark) else body.find(b"\n" + mark) + 1
    if not body.startswith(mark, at):
        raise malformed("multipart", "the body does not hold the boundary that Content-Type names")
    at += len(mark)
    line_end = b"\r\n" if body[at : at + 80].lstrip(b" \t").startswith(b"\r\n") else b"\n"
    while not body.startswith(b"--", at):
        start = body.find(line_end, at)
        if start < 0 or body[at:start].strip(b" \t"):
            raise malformed("multipart", "a boundary is followed by other characters")
        head, content_at = _head(body, start + len(line_end), line_end)
        end = _next_mark(body, content_at - len(line_end), line_end + mark)
        yield _part(head, body[content_at:end])
        at = end + len(line_end + mark)


def _boundary(content_type: str) -> bytes:
    message = Message()
    message["content-type"] = content_type
    found = message.get_boundary("")
    if not found or len(found) > _MOST_BOUNDARY or not found.isascii():
        raise malformed(
            "multipart",
            "Content-Type names no boundary (do not set this header: your client writes it)",
        )
    return found.encode()


def _head(body: bytes, at: int, line_end: bytes) -> tuple[Message, int]:
    """Return a part's headers, and where its content begins."""
    if body.startswith(line_end, at):  # it has none
        return Message(), at + len(line_end)
    end = body.find(line_end * 2, at, at + _MOST_HEADER_BYTES)
    if end < 0:
        raise malformed("multipart", "the headers of a part have no end")
    text = body[at:end].decode("utf-8", "replace").replace("\r\n", "\n")
    return HeaderParser().parsestr(text), end + 2 * len(line_end)


def _next_mark(body: bytes, at: int, mark: bytes) -> int:
    """Return where the next boundary begins; a longer one that begins like it is none."""
    while (at := body.find(mark, at)) >= 0:
        after = body[at + len(mark) : at + len(mark) + 2]
        if after == b"--" or after[:1] in (b"\r", b"\n", b" ", b"\t"):
            return at
        at += 1
    raise malformed("multipart", "the body is cut off: its last boundary is missing")


def _part(head: Message, content: bytes) -> Part:
    name = head.get_param("name", "", "content-disposition")
    return Part(
        name=name[2] if isinstance(name, tuple) else str(name),
        filename=head.get_filename(None),
        kind=head.get_content_type(),
        content_type=head.get("content-type", ""),
        content=content,
    )
