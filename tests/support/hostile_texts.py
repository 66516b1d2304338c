"""Texts that are hostile to tools, and what becomes of each: one table for all ways in."""

from typing import NamedTuple


class Case(NamedTuple):
    """A text, and why there is no answer to it; None: there is one."""

    content: bytes
    reason: str | None = None
    cleaned: str | None = None
    """Why `clean` alone sets it aside: as training data it must say something."""


def _fine(text: str) -> Case:
    return Case(text.encode())


CASES: dict[str, Case] = {
    "line feeds": _fine("good first\n\nsecond line\n"),
    "carriage returns": _fine("good old\rmac\rends"),
    "windows ends": _fine("good windows\r\nends\r\n"),
    "tabs": _fine("good\tcell\tof a table"),
    "next line": _fine("good next\u0085line"),
    "separators": _fine("good para\u2029graph and line\u2028here"),
    "vertical tab and form feed": _fine("good page\x0bone\x0ctwo"),
    "no width": _fine("go\u200bod zero\u2060width"),
    "marks of direction": _fine("\u200fgood\u200e \u202edesrever\u202c"),
    "byte order mark inside": _fine("good \ufeffmark"),
    "byte order mark first": _fine("\ufeffgood beginning"),
    "emoji of several": _fine("love \U0001f469\u200d\U0001f467\u200d\U0001f466 them"),
    "combining": _fine("good e" + "\u0301" * 5_000),
    "astral": _fine("good \U0001d51e\U00020000\U0010ffff"),
    "no characters": _fine("good \ufffe and \uffff"),
    "private use": _fine("good \ue000\uf8ff"),
    "replacement": _fine("good \ufffd lost"),
    "a megabyte": _fine("good phöne bøok " * 62_000),
    "a word of 100,000 letters": _fine("x" * 100_000),
    "unknown words": _fine("zzqqj vvxxk wwyyh"),
    "chinese": _fine("这个手机很好"),
    "japanese": _fine("とても良い電話です"),
    "thai": _fine("โทรศัพท์ดีมาก"),
    "arabic": _fine("هاتف جيد جدا"),
    "hangul in parts": _fine("\u1112\u1161\u11ab\u1100\u1173\u11af"),
    "NA": _fine("NA"),
    "null": _fine("null"),
    "nan": _fine("nan"),
    "None": _fine("None"),
    "true": _fine("true"),
    "a number": _fine("1e5"),
    "quotes and commas": _fine('good, "so" he ""said"", and'),
    "one quote": _fine('good " quote'),
    "a formula": _fine('=HYPERLINK("http://x","good")'),
    "markup": _fine("<script>alert('good')</script> &amp; </textarea>"),
    "a template": _fine("{{ good }} {% raw %} ${x} %s {0}"),
    "json": _fine('{"texts": ["good"]}'),
    "a path": _fine("../../etc/good"),
    "an address": _fine("https://example.org/good.txt"),
    "a data url": _fine("data:,good"),
    "base64": _fine("dGhlIHBob25lIGlzIGdyZWF0"),
    "backslashes": _fine("good \\n \\u0000 \\ud800 \\"),
    "punctuation": _fine("?!..."),
    "zero byte": _fine("good\0zero"),
    "escape codes": _fine("good \x1b[31mred\x1b[0m \x07"),
    "deleted": _fine("good \x7f\x80\x9f"),
    "white space as markup": Case(b"&nbsp; &#160;", cleaned="empty"),
    "nothing": Case(b"", "empty"),
    "a byte order mark": Case("\ufeff".encode(), "empty"),
    "blanks": Case(" \t\r\n \u3000\xa0\u2028".encode(), "empty"),
    "control characters": Case(b"\x01\x02\x7f", "empty", "unprintable"),
    "invisible": Case("\u200b\u200d\u2060\u2800".encode(), "unprintable"),
    "tags": Case("\U000e0041\U000e0042".encode(), "unprintable"),
    "latin-1": Case(b"good caf\xe9", "not_utf8"),
    "half a surrogate pair": Case(b"good \xed\xa0\xbd half", "not_utf8"),
    "both halves apart": Case(b"good \xed\xa0\xbd\xed\xb8\x80", "not_utf8"),
    "cut": Case("good é".encode()[:-1], "not_utf8"),
    "overlong": Case(b"good \xc0\xaf", "not_utf8"),
    "beyond unicode": Case(b"good \xf4\x90\x80\x80", "not_utf8"),
    "utf-16": Case("good wide".encode("utf-16-le"), None),
    "bytes": Case(bytes(range(128, 256)), "not_utf8"),
}


def csv_of(cases: dict[str, Case]) -> bytes:
    """Return a table of the cases, with the columns text and label, as bytes."""
    rows = [b'"' + each.content.replace(b'"', b'""') + b'"' for each in cases.values()]
    labelled = (b"%s,%s\n" % (row, (b"bad", b"good")[at % 2]) for at, row in enumerate(rows))
    return b"text,label\n" + b"".join(labelled)
