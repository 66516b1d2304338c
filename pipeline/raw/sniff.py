"""What a file is, by its first bytes: an item that is read, one that is not, or something else.

A signature comes first. Text is looked at only where the head is text: an item may carry anything
in its comments.
"""

import re

from pipeline.modality.files import all_files
from pipeline.raw.head_text import as_text, past_markup

HEAD_BYTES = 1024
"""First bytes of a file that are enough to name it."""

_OTHERS = (
    (b"version https://git-lfs", "a git-LFS pointer (run `git lfs pull`)"),
    (b"/annex/objects/", "a git-annex pointer (run `git annex get .`)"),
    (b"\0\x05\x16\x07", "a file that macOS keeps beside another (delete it)"),
    (b"PK\x03\x04", "a zip archive"),
    (b"\x1f\x8b", "a gzip archive"),
    (b"Rar!\x1a\x07", "a RAR archive"),
    (b"7z\xbc\xaf\x27\x1c", "a 7-Zip archive"),
    (b"\x93NUMPY", "a numpy array"),
    (b"\x89HDF\r\n\x1a\n", "an HDF5 file"),
    (b"\x7fELF", "a program"),
    (b"MZ", "a program"),
    (b"ID3", "a sound file"),
    (b"\x1aE\xdf\xa3", "a video"),
)
_HTML = ("<!doctype html", "<html", "<head", "<body")
_JSON = re.compile(r"\{\s*[\"}]|\{$|\[\s*[][{\"\d-]|\[$")


def item_format(head: bytes) -> str | None:
    """Return the format, of those that are read as items, that the bytes claim to have."""
    return next(filter(None, (each.format(head) for each in all_files())), None)


def unread_format(head: bytes) -> str | None:
    """Name a format of items that is not read, with a way to one that is, or None."""
    return next(filter(None, (each.unread_format(head) for each in all_files())), None)


def sniff(head: bytes) -> str | None:
    """Return what a file is that is no item, or None where that is not known.

    Args:
        head: Its first bytes, `HEAD_BYTES` of them where there are so many.

    Returns:
        A noun with its article, such as `an HTML page`.
    """
    head = head[:HEAD_BYTES]
    named = next((name for magic, name in _OTHERS if head.startswith(magic)), None)
    if named or (named := unread_format(head)):
        return named
    if head[4:8] == b"ftyp":
        return None if item_format(head) else "a video"
    if head[257:262] == b"ustar":
        return "a tar archive"
    hidden = (each.hidden_format(head) for each in all_files())
    return _sniff_text(head) or next(filter(None, hidden), None)


def _sniff_text(head: bytes) -> str | None:
    if (text := as_text(head)) is None:
        return None
    start = past_markup(text).lower() or text.lstrip()
    if start.startswith(_HTML):
        return "an HTML page"
    if start.startswith("<"):
        return "an XML file"
    return "a JSON file" if _JSON.match(start) else "a text file"
