"""Texts for people: the cleaning page, tiles, the review page's views."""
# ruff: noqa: RUF001

import re
from types import SimpleNamespace
from xml.etree import ElementTree

import numpy as np
import pandas as pd
import pytest

from pipeline.clean.case import Rules
from pipeline.clean.page.plots import write_plots
from pipeline.clean.page.render import write_page
from pipeline.modality import facts
from pipeline.reviewing.cases import Queue
from pipeline.text.read.probe import TextLook
from pipeline.text.show.difference import pieces
from pipeline.text.show.report import REPORT, bins
from pipeline.text.show.show import SHOW
from pipeline.text.show.viewer import VIEWER
from tests.support.texts import MACHINE, SPLIT, clean_texts, many_texts, text_params, words

LABELS = ("bad", "good")
LOOK = TextLook(mask_digits=False)


@pytest.fixture(autouse=True)
def _is_a_modality(monkeypatch):
    monkeypatch.setattr(facts, "MODALITIES", ("picture", "text"))


def page(folder, rows, *, task="classification", **clean):
    cleaned = clean_texts(folder / "small/raw", rows, task=task, **clean)
    rules = Rules(task, text_params(), SPLIT)
    raw = folder / "small/raw"
    write_page(
        folder / "page.html", cleaned, raw=raw, rules=rules, machine=MACHINE, near=cleaned.searched
    )
    write_plots(folder / "plots", cleaned, raw=raw, rules=rules)
    return (folder / "page.html").read_text(encoding="utf-8")


def troubled():
    return [
        *many_texts(),
        ("copy.txt", words(0).upper(), "bad"),
        ("other.txt", words(1), "bad"),
        ("near.txt", f"{words(3)} altogether", "good"),
        ("broken.txt", b"caf\xe9 au lait", "good"),
        ("html.txt", "a <b>bold</b> move", "bad"),
        *((f"script{label}", "<script>alert('1')</script> &amp; <b>", label) for label in LABELS),
        ("zh.txt", "非常好吃，下次还来", "good"),
        *((f"zh{label}", "味道不错，送餐很快", label) for label in LABELS),
    ]


def test_the_page_shows_texts_as_text(tmp_path):
    found = page(tmp_path, troubled())
    assert "What cleaning found in <span>small</span>" in found
    assert "<script" not in found
    assert "&lt;script&gt;alert(&#39;1&#39;)&lt;/script&gt; &amp;amp; &lt;b&gt;" in found
    assert "味道不错，送餐很快" in found
    assert "1 unfit text<" in found
    assert "The same text under different labels" in found
    assert "Equal words, equal labels" in found
    assert "byte 3 of 12 is 0xe9" in found
    assert "It has tags or entities of HTML." in found
    for word in ("picture", "pixel", "image", "correlation", "file is"):
        assert word not in re.sub(r"(?s)<style>.*?</style>", "", found).lower()


def test_what_differs_is_marked(tmp_path):
    found = page(tmp_path, troubled())
    near = found[found.index('id="near"') :]
    near = near[: near.index("</section>")]
    assert "Texts that look alike" in near
    assert "<mark> altogether</mark>" in near
    assert near.count("<mark>") == 1
    assert "share of common pieces 0.843" in near


def test_lengths_and_languages_are_told(tmp_path):
    found = page(tmp_path, troubled())
    assert "Languages: zh 1 (" in found
    assert "not sure" in found
    assert re.search(r"<td>bad</td><td class=\"n\">\d+</td>", found)


def test_a_page_of_a_regression(tmp_path):
    rows = [(path, text, f"{place / 7}") for place, (path, text, _) in enumerate(many_texts())]
    assert "Lengths in characters" in page(tmp_path, rows, task="regression")


def test_equal_texts_give_an_equal_page(tmp_path):
    one, two = (page(tmp_path / name, troubled()) for name in ("one", "two"))
    assert one == two


def test_pieces_join_to_the_text():
    one, two = "The food  was\nvery good.", "the food was good!"
    assert "".join(each.text for each in pieces(one, two)) == one
    assert "".join(each.text for each in pieces(two, one)) == two
    assert all(not each.is_other for each in pieces(one, one))
    assert [each.text for each in pieces("味道很不错", "味道不错") if each.is_other] == ["很"]


def test_bins_have_no_empty_ends():
    assert bins(pd.Series([12, 12, 60]), (10, 20, 50, 100)) == {"10": 2, "20": 0, "50": 1}


@pytest.mark.parametrize(
    "text", ["Good.", "x" * 99, "很好 \U0001f600", "$a_b$ <b>&", "a\ud800b", "\u202eabc", "\ufffe"]
)
def test_a_sheet_shows_any_text_as_it_is_and_is_xml(text, tmp_path):
    path = tmp_path / "a.svg"
    SHOW.write_sheet(path, [([text, None], f"{text[:9]}\nbad")], title=f"1 of {text[:9]}")
    drawn = [each.text for each in ElementTree.parse(path).iter() if each.tag.endswith("text")]
    shown = text.replace("\ud800", "\ufffd").replace("\ufffe", "\ufffd")
    assert drawn[:4] == [f"1 of {shown[:9]}", shown[:9], "bad", shown[:32]]
    assert drawn[-1] == "no text can be shown"


def test_what_is_no_text_has_no_tile():
    for content in (None, b"\xff\xff"):
        assert VIEWER.tile(content, LOOK, side_px=64) is None
    assert VIEWER.tile("gut é".encode(), LOOK, side_px=64) == "gut é"


def test_rows_of_the_store_are_texts():
    rows = np.zeros((2, 16), np.uint8)
    rows[0, :8] = np.frombuffer("gut é".encode().ljust(8, b"\0"), np.uint8)
    assert SHOW.draw(rows) == ["gut é", ""]


def test_a_view_is_plain_text():
    view = VIEWER.view("<b>é</b>\n".encode(), LOOK, "view")
    assert view.content.decode() == "<b>é</b>\n"
    assert view.media_type.startswith("text/plain")
    assert len(VIEWER.view(b"x" * 100_000, LOOK, "view").content) < 21_000
    assert len(VIEWER.view(b"x" * 100_000, LOOK, "full").content) == 100_000
    assert VIEWER.view(b"caf\xe9 au lait", LOOK, "view").startswith("not_utf8: byte 3 of 12")


def test_what_a_limit_refuses_may_be_kept_by_a_person():
    manifest = pd.DataFrame({"status": "quarantined", "reason": ["too_short", "not_utf8"]})
    queue = Queue(SimpleNamespace(manifest=manifest, modality="text"), (), (), ())
    assert queue.actions(0) == ("keep", "drop")
    assert queue.actions(1) == ("drop",)


def test_a_preview_is_short_and_gone_where_the_file_is(tmp_path):
    (tmp_path / "a.txt").write_text("word " * 1_000)
    assert len(REPORT.preview(tmp_path, "a.txt", LOOK)) < 700
    assert REPORT.preview(tmp_path, "b.txt", LOOK) is None
