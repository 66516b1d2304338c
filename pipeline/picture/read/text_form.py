"""A picture as text: base64 as tools write it, or a `data:` URL.

The server and the registered model read text by these functions, so both take the same spellings.
"""

import base64
import re
import string
from contextlib import suppress
from typing import NoReturn
from urllib.parse import unquote_to_bytes

from pipeline.modality.types.items import ItemTextError
from pipeline.picture.files import picture_format, unread_format
from pipeline.raw.sniff import HEAD_BYTES

_BLANKS = b" \t\r\n\f\v"
_LETTERS = (string.ascii_letters + string.digits).encode()
_BASE64 = _LETTERS + b"+/-_"  # of the usual alphabet, and of the one for URLs
_TO_USUAL = bytes.maketrans(b"-_", b"+/")
_ADDRESS = re.compile(r"(?:[a-z][a-z0-9+.-]*://|blob:|file:)", re.IGNORECASE)
_OBJECT = re.compile(r"\[object\W\w+\]|<\S+ object at |<_io\.|<PIL\.")
_FILE_NAME = re.compile(
    r"@|[^\n]{1,300}\.(?:png|jpe?g|gif|bmp|webp|tiff?|avif|heic|p[bgp]m)", re.IGNORECASE
)
_BYTES_REPR = re.compile(r"b['\"]")
_HEAD = 64
"""First bytes that nearly always tell a picture from text."""


def from_text(text: str) -> bytes:
    """Return the bytes that a text stands for.

    Takes base64 of both alphabets, with or without padding, with blanks and line ends anywhere, and
    `data:` URLs, whose data are base64 or percent-encoded.

    Raises:
        ItemTextError: It is neither.
    """
    text = text.strip("\ufeff \t\r\n\f\v")
    if text[:5].lower() == "data:":
        return _from_data_url(text)
    if found := _ADDRESS.match(text):
        raise ItemTextError(
            "address", f"is an address ({found[0]}...): nothing is fetched, send the picture itself"
        )
    if _BYTES_REPR.match(text):
        raise ItemTextError(
            "base64", f"begins with {text[:2]}, as Python shows bytes: send what .decode() returns"
        )
    if _OBJECT.match(text):
        raise ItemTextError(
            "base64", f"is {text[:40]!r}, the name of a program's object: send its bytes"
        )
    if _FILE_NAME.match(text) and (text[0] == "@" or _FILE_NAME.fullmatch(text)):
        raise ItemTextError("base64", "is the name of a file: send what the file holds")
    return _from_base64(text)


def from_bytes(raw: bytes) -> bytes:
    """Return the picture that bytes hold as text; bytes that hold none are returned as they are."""
    head = raw[:_HEAD].lstrip(_BLANKS)
    is_text = head[:5].lower() == b"data:" or not head.translate(None, _BASE64 + _BLANKS + b"=")
    if not is_text or _is_picture(raw):  # a pixmap may be all letters, digits and blanks
        return raw
    try:
        found = from_text(raw.decode("ascii"))
    except ValueError:
        return raw
    return found if _is_picture(found) else raw


def _is_picture(raw: bytes) -> bool:
    head = raw[:HEAD_BYTES]
    return bool(picture_format(head) or unread_format(head))


def _from_data_url(text: str) -> bytes:
    head, comma, data = text[5:].partition(",")
    if not comma:
        raise ItemTextError("data_url", "has a data: prefix, and no comma after it")
    kind, *more = (each.strip().lower() for each in head.split(";"))
    is_base64 = "base64" in (kind, *more)
    if not (kind in ("", "base64", "application/octet-stream") or kind.startswith("image/")):
        raise ItemTextError(
            "data_url", f"has a data: prefix of type {kind[:80]}, and must be a picture"
        )
    if not is_base64:
        return unquote_to_bytes(data)
    return _from_base64(unquote_to_bytes(data).decode("latin-1") if "%" in data else data)


def _from_base64(text: str) -> bytes:
    with suppress(ValueError):  # as it nearly always is, and three times as fast
        return base64.b64decode(text, validate=True)
    raw = text.encode("ascii", "replace").translate(None, _BLANKS)
    core = raw.rstrip(b"=")
    if core.translate(None, _BASE64):
        _refuse_character(text)
    if len(core) % 4 == 1:
        raise ItemTextError(
            "base64", f"is cut off: {len(core)} characters of base64 stand for no whole bytes"
        )
    return base64.b64decode(core.translate(_TO_USUAL) + b"=" * (-len(core) % 4))


def _refuse_character(text: str) -> NoReturn:
    """Return which character is wrong, and where."""
    known = set((_BASE64 + _BLANKS).decode())
    at = next(number for number, each in enumerate(text) if each not in known)
    if text[at] == "=":
        raise ItemTextError("base64", f"has '=' at byte {at}, before its end")
    raise ItemTextError("base64", f"has a character outside base64 at byte {at}: {text[at]!r}")
