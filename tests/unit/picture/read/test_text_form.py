"""Text that stands for a picture: each spelling gives the same bytes, the rest says why not."""

import base64
import textwrap
from urllib.parse import quote

import pytest

from pipeline.modality.types.items import ItemTextError
from pipeline.picture.read.text_form import from_bytes, from_text

RAW = b"\x89PNG\r\n\x1a\n" + bytes(range(256)) + b"\xfb\xff\xfe?>"  # has + and / in base64
TEXT = base64.b64encode(RAW).decode()
SPELLINGS = {
    "plain": TEXT,
    "a line end": TEXT + "\n",
    "blanks around": f"  {TEXT}\t",
    "a byte order mark": "\ufeff" + TEXT,
    "lines of 76, LF": base64.encodebytes(RAW).decode(),
    "lines of 64, CRLF": "\r\n".join(textwrap.wrap(TEXT, 64)),
    "no padding": TEXT.rstrip("="),
    "half of the padding": TEXT.rstrip("=") + "=",
    "for URLs": base64.urlsafe_b64encode(RAW).decode(),
    "for URLs, no padding": base64.urlsafe_b64encode(RAW).decode().rstrip("="),
    "data URL": "data:image/png;base64," + TEXT,
    "data URL, capitals": " DATA:IMAGE/PNG;BASE64," + TEXT,
    "data URL with a charset": "data:image/png;charset=utf-8;base64," + TEXT,
    "data URL with a name": "data:image/png;name=a%20b.png;base64," + TEXT,
    "data URL, no type": "data:;base64," + TEXT,
    "data URL, base64 alone": "data:base64," + TEXT,
    "data URL of unknown type": "data:application/octet-stream;base64," + TEXT,
    "data URL, escaped base64": "data:image/png;base64," + quote(TEXT, safe=""),
    "data URL, lines": "data:image/png;base64,\r\n" + base64.encodebytes(RAW).decode(),
    "data URL without base64": "data:image/png," + quote(RAW),
}


@pytest.mark.parametrize("text", SPELLINGS.values(), ids=SPELLINGS)
def test_every_spelling_gives_the_same_bytes(text):
    assert from_text(text) == RAW


@pytest.mark.parametrize("text", SPELLINGS.values(), ids=SPELLINGS)
def test_bytes_of_the_text_do_too(text):
    if text.isascii():
        assert from_bytes(text.encode()) == RAW


WRONG = {
    "another character": (
        "A" * 76 + "*",
        "base64: it has a character outside base64 at byte 76: '*'",
    ),
    "no ASCII": ("AAü", "base64: it has a character outside base64 at byte 2: 'ü'"),
    "a file name": ("cell.png", "base64: it is the name of a file: send what the file holds"),
    "a character": ("cell,x", "base64: it has a character outside base64 at byte 4: ','"),
    "two texts in one": ("AA==AA==", "base64: it has '=' at byte 2, before its end"),
    "cut off": ("AAAAA", "base64: it is cut off: 5 characters of base64 stand for no whole bytes"),
    "Python's bytes": ("b'iVBO'", "base64: it begins with b', as Python shows bytes: send what"),
    "a program's object": ("[object File]", "base64: it is '[object File]', the name of a program"),
    "an object in a page's form": ("[object+Blob]", "base64: it is '[object+Blob]', the name of"),
    "Python's object": ("<_io.BufferedReader name='a'>", 'base64: it is "<_io.BufferedReader'),
    "a name of a file": ("C:\\cells\\a 1.JPG", "base64: it is the name of a file: send what"),
    "curl's name of a file": ("@a", "base64: it is the name of a file: send what"),
    "an address": ("https://x.org/a.png", "address: it is an address (https://...): nothing is"),
    "a blob": ("blob:https://x.org/1", "address: it is an address (blob:...): nothing is fetched"),
    "HTML": ("data:text/html;base64,PA==", "data_url: it has a data: prefix of type text/html"),
    "no comma": ("data:image/png;base64", "data_url: it has a data: prefix, and no comma after it"),
}


@pytest.mark.parametrize(("text", "error"), WRONG.values(), ids=WRONG)
def test_what_is_wrong_is_said_with_its_place(text, error):
    with pytest.raises(ItemTextError) as raised:
        from_text(text)
    assert str(raised.value).startswith(error)


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        RAW,
        b"no picture",
        b"hello world!",
        b"P3\n1 1 255 0 0 0 12 13 14",
        b"<html>",
        b"QUJD",
        b"data:text/html,x",
        b"P1 2 2 0 1 1 0",
    ],
)
def test_bytes_that_hold_no_text_of_a_picture_are_left_as_they_are(raw):
    assert from_bytes(raw) is raw
