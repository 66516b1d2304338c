"""Texts as programs hand them to a model."""

import base64
import json

import pytest

from pipeline.modality.types.items import from_cell
from pipeline.serving.replicas.http_errors import Refusal
from pipeline.serving.request.infer import read_infer
from pipeline.serving.request.parse import parse_body
from pipeline.serving.request.shapes import Shapes
from pipeline.text.shelf.params import TextSpec
from pipeline.text.shelf.rows import row_text
from pipeline.text.show.input import INPUT

SPEC = TextSpec(16)
BASE64 = base64.b64encode(b"\x89PNG and more of it").decode()
LITERAL = (
    BASE64,
    "data:text/plain;base64,aGVsbG8=",
    "https://example.org/review.txt",
    "{'b64': 'aGVsbG8='}",
    "a+b = c%20d&text=e",
    '{"texts": ["inner"]}',
    "NA",
    "null",
    "[1, 2]",
    "b'bytes'",
    "@review.txt",
)


def read(text, **limits):
    return INPUT.encode(from_cell(INPUT, text), SPEC, **limits)


def parsed(body, kind="application/json", most=64):
    return run(parse_body(body if isinstance(body, bytes) else body.encode(), kind, shapes(most)))


def shapes(most=64):
    return Shapes(INPUT, most)


def run(coroutine):
    """Run what never waits."""
    try:
        coroutine.send(None)
    except StopIteration as found:
        return found.value
    raise AssertionError("it waits")


@pytest.mark.parametrize(
    ("text", "row"),
    [
        ("plain", "plain"),
        (" two\r\nlines\tand a tab ", "two lines and a tab"),
        ("a\u0085b\u2028c\u00a0d\0e", "a b c d e"),
        ("e\u0301", "\u00e9"),
        ("\ufeffmarked", "marked"),
        ("\u200fright\u200e to left", "\u200fright\u200e to left"),
        ("\U0001f469\u200d\U0001f467", "\U0001f469\u200d\U0001f467"),
    ],
)
def test_what_a_text_becomes(text, row):
    assert row_text(read(text).row) == row
    assert read(text).notes == ()


@pytest.mark.parametrize(
    ("content", "error"),
    [
        ("", "empty: 0 bytes"),
        (" \r\n\0", "empty: 4 bytes"),
        ("\u200b\u200e", "unprintable: 2 characters"),
        ("half \ud83d", "not_utf8: byte 5 of 8 is 0xed; it is half of a surrogate pair"),
        (b"caf\xe9 au lait", "not_utf8: byte 3 of 12 is 0xe9"),
        ("x" * 41, "too_long: 41 characters, over 40"),
        (None, "not_text: the cell holds NoneType"),
        (1.5, "not_text: the cell holds float"),
    ],
)
def test_what_is_no_text_says_why(content, error):
    assert read(content, most=40).startswith(error)


def test_a_long_text_is_cut_between_characters_and_says_so():
    found = read("ж" * 500_000)
    assert row_text(found.row) == "ж" * 64
    assert found.notes == ("cut_off: only the first 128 of 1000000 bytes are read",)
    assert read("x" * 128).notes == ()


@pytest.mark.parametrize("text", LITERAL)
def test_a_text_is_never_decoded(text):
    raw = text.encode()
    cell = json.dumps(text)
    assert from_cell(INPUT, text) == raw
    bodies = [
        f'{{"texts": [{cell}]}}',
        f'{{"text": {cell}}}',
        f"[{cell}]",
        f'{{"instances": [{cell}]}}',
        f'{{"instances": [{{"text": {cell}}}]}}',
        f'{{"inputs": {{"text": [{cell}]}}}}',
        f'{{"dataframe_split": {{"columns": ["id", "text"], "data": [[1, {cell}]]}}}}',
        f'{{"dataframe_records": [{{"id": 1, "text": {cell}}}]}}',
    ]
    assert [parsed(each).items for each in bodies] == [[raw]] * len(bodies)
    assert parsed(text, "text/plain; charset=utf-8").items == [raw]
    assert parsed(text, "application/octet-stream").items == [raw]
    quoted = text.replace('"', '""')
    assert parsed(f'id,text\n1,"{quoted}"\n', "text/csv").items == [raw]
    tensor = {"name": "text", "datatype": "BYTES", "shape": [1], "data": [text]}
    assert read_infer(json.dumps({"inputs": [tensor]}).encode(), "", shapes()).items == [raw]


def test_half_a_surrogate_pair_in_json_costs_its_item_alone():
    found = parsed('{"texts": ["\\ud83d", "\\ud83d\\ude00", "good"]}').items
    rows = [INPUT.encode(each, SPEC) for each in found]
    assert rows[0].startswith("not_utf8: ")
    assert [row_text(each.row) for each in rows[1:]] == ["\U0001f600", "good"]


def test_json_is_told_by_its_look_where_no_type_says_text():
    for kind in ("", "application/x-www-form-urlencoded"):
        assert parsed('{"texts": ["a", "b"]}', kind).items == [b"a", b"b"]
    assert parsed("It works: 3 < 4", "").items == [b"It works: 3 < 4"]


def test_b64_in_an_object_is_base64_of_a_text():
    assert parsed('{"instances": [{"b64": "aGVsbG8="}]}').items == [b"hello"]
    with pytest.raises(Refusal, match=r"base64: instances\[0\]\.b64 is no base64"):
        parsed('{"instances": [{"b64": "hello!"}]}')


def test_a_form_has_files_and_fields():
    body = (
        b'--x\r\nContent-Disposition: form-data; name="text"\r\n\r\na + b\r\n'
        b'--x\r\nContent-Disposition: form-data; name="lang"\r\n\r\ndata:en\r\n'
        b'--x\r\nContent-Disposition: form-data; name="f"; filename="a.txt"\r\n'
        b"Content-Type: text/plain\r\n\r\ntwo\nlines\r\n--x--\r\n"
    )
    assert parsed(body, "multipart/form-data; boundary=x").items == [b"a + b", b"two\nlines"]
    form = "application/x-www-form-urlencoded"
    assert parsed("lang=en&text=a+%2B+%C3%A9", form).items == ["a + é".encode()]
    assert INPUT.encode(*parsed("text=%E9t%E9", form).items, SPEC).startswith("not_utf8: ")


def test_a_table_keeps_line_ends_within_cells():
    found = parsed('id,text\r\n1,"a\r\nb\u2028c"\r\n2,""\r\n3,NA\r\n', "text/csv")
    assert found.items == ["a\r\nb\u2028c".encode(), b"", b"NA"]


@pytest.mark.parametrize("header", ["I like it", "review"])
def test_a_table_must_name_its_column_lest_a_text_is_lost(header):
    with pytest.raises(Refusal, match="the first line must name the column"):
        parsed(f"{header}\nI do not\n", "text/csv")


@pytest.mark.parametrize(
    ("body", "error"),
    [
        ('{"texts": [null]}', r"not_text: texts\[0\] must be text, got null"),
        ('{"texts": [["a", "b"]]}', r"not_text: texts\[0\] must be text, got a list$"),
        ('{"texts": []}', "the list of texts must not be empty"),
        ('{"reviews": ["a"]}', r'the body must be \{"texts": \["<text>", \.\.\.\]\}'),
    ],
)
def test_a_body_without_texts_says_what_is_wrong(body, error):
    with pytest.raises(Refusal, match=error):
        parsed(body)


def test_samples_are_texts_that_differ():
    assert INPUT.samples(3) == INPUT.samples(3)
    assert len(set(INPUT.samples(3))) == 3
    assert all(not isinstance(read(each), str) for each in INPUT.samples(3))
