"""Tables in older encodings: found by their bytes where these tell, told, and read row by row."""
# ruff: noqa: RUF001

import csv
import io

import pytest

from pipeline.ground.errors import DataError, ParamsError
from pipeline.raw.items import find_items
from pipeline.raw.params import DataParams
from pipeline.raw.source import read_raw
from pipeline.text.read.probe import TextLook

FRENCH = [
    "Très déçu, ça ne marche plus dès le premier été",
    "“Bien sûr” — où est le câble ?",
    "naïf",
]
GERMAN = ["Schöne Grüße aus München", "Das Gerät fällt ständig aus", "heiß und müde"]
POLISH = ["Zażółć gęślą jaźń", "Książka świetna, wysyłka błyskawiczna", "nie działa wcale"]
RUSSIAN = ["Товар пришёл быстро, всё работает", "Очень плохо, не советую", "хорошо"]
SIMPLIFIED = ["味道很好，送餐也快，下次还来。", "太差了！等了两个小时", "还不错 OK"]
TRADITIONAL = ["味道很好，送餐也快，下次還來。", "太差了！等了兩個小時才到", "服務態度不錯"]
JAPANESE = [
    "とても美味しかったです。また行きたい。",
    "サービスが悪いので、がっかりしました",
    "普通",
]
KOREAN = ["정말 맛있어요. 또 주문할게요", "배송이 너무 늦고 포장도 엉망", "보통입니다"]


def write(path, texts, encoding, *, labels=None):
    out = io.StringIO()
    labels = labels or [f"c{number % 2}" for number in range(len(texts))]
    csv.writer(out).writerows([("text", "label"), *zip(texts, labels, strict=True)])
    path.write_bytes(out.getvalue().encode(encoding))


def find(raw, encoding=None):
    return find_items(raw, raw, target="label", text="text", encoding=encoding)


@pytest.mark.parametrize(
    ("texts", "encoding", "found"),
    [
        (FRENCH, "cp1252", "cp1252"),
        (GERMAN, "latin-1", "cp1252"),
        (SIMPLIFIED, "gb2312", "gb18030"),
        (SIMPLIFIED, "gb18030", "gb18030"),
        (TRADITIONAL, "big5", "big5"),
        (JAPANESE, "shift_jis", "shift_jis"),
        (JAPANESE, "euc_jp", "euc_jp"),
        (KOREAN, "euc_kr", "cp949"),
        (FRENCH, "utf-8", None),
        (JAPANESE, "utf-8-sig", None),
    ],
)
def test_an_encoding_that_bytes_tell_is_found_and_told(tmp_path, texts, encoding, found):
    write(tmp_path / "t.csv", texts, encoding)
    items = find(tmp_path)
    assert [read_raw(tmp_path, each.path).decode() for each in items.items] == texts
    told = [each for each in items.warnings if "is read as" in each]
    assert told == ([] if found is None else told[:1])
    assert found is None or f"read as {found}, by its bytes" in told[0]
    assert items.items[0].path == f"t.csv/text/{found + '/' if found else ''}00000000"


@pytest.mark.parametrize(("texts", "encoding"), [(RUSSIAN, "cp1251"), (POLISH, "cp1250")])
def test_one_that_they_do_not_tell_must_be_said(tmp_path, texts, encoding):
    write(tmp_path / "t.csv", texts, encoding)
    with pytest.raises(DataError, match=r"t\.csv:2: is no UTF-8.*write data\.encoding"):
        find(tmp_path)
    items = find(tmp_path, encoding)
    assert [read_raw(tmp_path, each.path).decode() for each in items.items] == texts
    assert not [each for each in items.warnings if "is read as" in each]


def test_a_row_of_another_encoding_is_lost_alone(tmp_path):
    write(tmp_path / "t.csv", [*FRENCH, "x"] * 5, "utf-8", labels=["café", "thé"] * 10)
    content = (
        (tmp_path / "t.csv").read_bytes().replace("naïf,café".encode(), b"na\xefve,caf\xe9", 1)
    )
    (tmp_path / "t.csv").write_bytes(content)
    items = find(tmp_path)
    look = TextLook(mask_digits=False)
    found = [look.probe(read_raw(tmp_path, each.path), each.path) for each in items.items]
    assert [each.reason for each in found] == [None, None, "not_utf8", *[None] * 17]
    assert found[2].detail.startswith("byte 2 of 5 is 0xef")
    assert [each.label for each in items.items[:4]] == ["café", "thé", None, "thé"]
    (told,) = (each for each in items.warnings if "count as empty" in each)
    assert told.startswith("1 cells hold bytes that are no utf-8")
    assert "column 'label'" in told


def test_a_cut_character_in_another_encoding_is_lost_alone(tmp_path):
    write(tmp_path / "t.csv", SIMPLIFIED * 3, "gb18030")
    content = (tmp_path / "t.csv").read_bytes().split(b"\n")
    content[4] = content[4].replace(b",c", b"\x81,c")
    (tmp_path / "t.csv").write_bytes(b"\n".join(content))
    items, look = find(tmp_path), TextLook(mask_digits=False)
    found = [look.probe(read_raw(tmp_path, each.path), each.path) for each in items.items]
    assert [each.reason for each in found] == [None] * 3 + ["not_utf8"] + [None] * 5


def test_what_is_no_encoding_for_tables_is_refused():
    fine = {"path": "r", "labels": "r", "target": "label", "text": "text", "layout": "auto"}
    assert DataParams(**fine, encoding="gb18030").encoding == "gb18030"
    for name in ("utf-16", "klingon", "cp037", "rot13"):
        with pytest.raises(ValueError, match="must be null, or an encoding such as cp1252"):
            DataParams(**fine, encoding=name)


def test_text_files_have_none(tmp_path):
    (tmp_path / "a.txt").write_text("a")
    with pytest.raises(ParamsError, match=r"data\.encoding: must be null but for tables"):
        find_items(tmp_path, tmp_path, target="label", text=".txt", encoding="cp1252")
