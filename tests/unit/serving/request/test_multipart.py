"""Forms taken apart: as clients write them, and broken in each place."""

import pytest

from pipeline.serving.replicas.http_errors import Refusal
from pipeline.serving.request.multipart import split_form

KIND = "multipart/form-data; boundary=b"
HEAD = b'Content-Disposition: form-data; name="file"; filename="a.png"\r\n\r\n'
RAW = b"\x89PNG\r\n--bx\r\n\n--\r\r\n"


def form(*parts, end=b"\r\n--b--\r\n"):
    return b"".join(b"\r\n--b\r\n" + part for part in parts)[2:] + end


GOOD = {
    "a browser's": (form(HEAD + RAW), KIND),
    "a quoted boundary": (form(HEAD + RAW), 'multipart/form-data; charset=utf-8; boundary="b"'),
    "a preamble and an end": (b"hello\r\n" + form(HEAD + RAW) + b"bye", KIND),
    "no line after it": (form(HEAD + RAW, end=b"\r\n--b--"), KIND),
    "blanks after a boundary": (form(HEAD + RAW).replace(b"--b\r\n", b"--b \t\r\n", 1), KIND),
}


@pytest.mark.parametrize(("body", "kind"), GOOD.values(), ids=GOOD)
def test_a_part_has_its_bytes_and_nothing_more(body, kind):
    (part,) = split_form(body, kind)
    assert (part.name, part.filename, part.kind) == ("file", "a.png", "text/plain")
    assert part.content == RAW


def test_line_ends_may_be_line_feeds():
    body = form(HEAD + b"x\ny").replace(b"\r\n", b"\n")
    assert [part.content for part in split_form(body, KIND)] == [b"x\ny"]


NAMES = {
    "UTF-8 as it is": ('filename="größe.png"', "größe.png"),
    "RFC 5987": ("filename=\"x\"; filename*=UTF-8''gr%C3%B6%C3%9Fe.png", "größe.png"),
    "only RFC 5987": ("filename*=UTF-8''a%20b.png", "a b.png"),
    "no quotes": ("filename=a.png", "a.png"),
    "an escaped quote": ('filename="a\\"b.png"', 'a"b.png'),
    "none chosen": ('filename=""', ""),
}


@pytest.mark.parametrize(("text", "name"), NAMES.values(), ids=NAMES)
def test_names_of_files(text, name):
    head = f'Content-Disposition: form-data; name="bild"; {text}\r\nContent-Type: image/png\r\n\r\n'
    (part,) = split_form(form(head.encode() + RAW), KIND)
    assert part.kind == "image/png"
    assert part.content == RAW
    if "*" in text and "filename=" in text:
        assert part.filename in ("x", name)
    else:
        assert part.filename == name


def test_parts_come_in_their_order_with_fields_between():
    text = b'Content-Disposition: form-data; name="note"\r\n\r\nhello'
    parts = list(split_form(form(HEAD + b"1", text, HEAD + b"2", b"\r\nbare"), KIND))
    assert [part.content for part in parts] == [b"1", b"hello", b"2", b"bare"]
    assert [part.filename for part in parts] == ["a.png", None, "a.png", None]
    assert parts[1].name == "note"


BROKEN = {
    "no boundary": (form(HEAD + RAW), "multipart/form-data", "Content-Type names no boundary"),
    "another boundary": (form(HEAD + RAW), "multipart/form-data; boundary=c", "does not hold"),
    "cut off": (form(HEAD + RAW, end=b""), KIND, "is cut off"),
    "cut off in a boundary": (form(HEAD + RAW, end=b"\r\n--b"), KIND, "is cut off"),
    "headers without an end": (form(b"A: b\r\nC: d"), KIND, "headers of a part have no end"),
    "a longer boundary first": (b"--bb\r\n\r\nx\r\n--bb--", KIND, "followed by other characters"),
    "nothing": (b"", KIND, "does not hold"),
    "a boundary alone": (b"--b", KIND, "followed by other characters"),
}


@pytest.mark.parametrize(("body", "kind", "error"), BROKEN.values(), ids=BROKEN)
def test_broken_forms_are_refused_with_a_reason(body, kind, error):
    with pytest.raises(Refusal, match=error) as raised:
        list(split_form(body, kind))
    assert (raised.value.status, raised.value.code) == (400, "multipart")


def test_a_form_without_parts_has_none():
    assert list(split_form(b"--b--\r\n", KIND)) == []
