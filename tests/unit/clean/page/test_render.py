"""The page of the cleaning report: self-contained, safe against names, bounded, and complete."""

import base64
import csv
import re
import shutil
from html.parser import HTMLParser
from io import BytesIO

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from pipeline.clean.case import Rules
from pipeline.clean.page.render import write_page
from pipeline.clean.page.samples import choose
from pipeline.compute.engine import MachineParams
from pipeline.manifest.manifest import all_reasons
from pipeline.picture.show.report import PictureReport
from tests.support.rawfolder import (
    MACHINE,
    SPLIT,
    class_folders,
    clean_folder,
    clean_params,
    save_picture,
    write_labels,
)

VOID = ("br", "img", "meta")
HOSTILE = "<script>alert('1')</script>\"&\u202egnp"


class Reader(HTMLParser):
    """Reads a page as a browser would, and refuses what no page of ours may have."""

    def __init__(self):
        super().__init__(convert_charrefs=True)
        self.open, self.texts, self.pictures, self.ids, self.links = [], [], [], set(), set()
        self.elements = []

    def handle_starttag(self, tag, attrs):
        attributes = dict(attrs)
        assert len(attributes) == len(attrs), "an attribute is there twice"
        assert tag not in ("script", "iframe", "object", "embed", "link", "base", "form")
        for name, value in attrs:
            assert not name.startswith("on")
            if name in ("src", "href", "srcset", "action", "data", "poster"):
                assert value.startswith(("data:image/jpeg;base64,", "#")), value
        self.elements.append(tag)
        self.pictures += [attributes["src"]] if tag == "img" else []
        self.ids |= {attributes["id"]} if "id" in attributes else set()
        self.links |= {attributes["href"][1:]} if "href" in attributes else set()
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open, f"</{tag}> closes nothing"
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.texts.append(data)

    @property
    def text(self):
        return "".join(self.texts)


def read(path):
    text = path.read_text(encoding="utf-8")
    assert text.startswith("<!doctype html>\n<html")
    assert not re.search(r"(?:https?:)?//[a-z]", re.sub(r"base64,[^\"]*", "", text))
    reader = Reader()
    reader.feed(text)
    reader.close()
    assert reader.open == [], "elements are not closed"
    assert reader.links <= reader.ids, "a link leads nowhere"
    return reader


def page(
    tmp_path, raw, *, machine=MACHINE, near=None, task="classification", name="page.html", **clean
):
    cleaned = clean_folder(raw, task=task, **clean)
    rules = Rules(task, clean_params(), SPLIT)
    write_page(tmp_path / name, cleaned, raw=raw, rules=rules, machine=machine, near=near)
    return read(tmp_path / name)


def troubled(raw):
    """Make a folder with one of each trouble."""
    class_folders(raw)
    save_picture(raw / "cat/small.png", 1, size=(7, 30))
    save_picture(raw / "cat/long.png", 2, size=(8, 400))
    (raw / "cat/page.png").write_bytes(b"<!doctype html><p>404")
    shutil.copy(raw / "cat/00.png", raw / "cat/copy.png")
    shutil.copy(raw / "cat/01.png", raw / "dog/also.png")
    save_picture(raw / "dog/no-png.jpg", 333, format="PNG")
    save_picture(raw / "loose.png", 7)
    return raw


def test_a_folder_without_trouble(tmp_path):
    found = page(tmp_path, class_folders(tmp_path / "small/raw"))
    assert "What cleaning found in small" in found.text
    for good in ("all files are fit to use", "no exact duplicates", "no conflicting labels"):
        assert f"✓ {good}" in found.text
    assert "Not used" not in found.text
    assert "look-alikes" not in found.text, "they were not looked for"
    assert len(found.pictures) == 16


def test_every_trouble_is_told_with_its_pictures(tmp_path):
    found = page(tmp_path, troubled(tmp_path / "small/raw"))
    for code in ("too_small", "aspect", "not_image", "duplicate", "conflict", "no_label"):
        assert code in found.text
        assert all_reasons()[code][1:].replace("`", "") in found.text
    assert "3 unfit files" in found.text
    assert "it is an HTML page" in found.text, "a tile says why it has no picture"
    assert "'cat' here, 'dog' at dog/also.png" in found.text
    assert "The same picture again" in found.text
    assert "Its name promises another format." in found.text
    assert {"warnings", "not-used", "conflicts", "duplicates", "notes"} & found.ids


def test_hostile_names_and_labels_are_text(tmp_path):
    raw = class_folders(tmp_path / "small/raw")
    name = "<img src=x onerror=alert(1)>\x1b[31m\n'\".png"
    (raw / "dog" / name).write_bytes(b"text")
    with (tmp_path / "labels.csv").open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(["path", "label", HOSTILE])
        for number, path in enumerate(sorted(raw.glob("*/*"))):
            label = HOSTILE if path.parent.name == "dog" else "cat"
            writer.writerow([path.relative_to(raw), label, "</td>" if number % 2 else "<b>"])
    found = page(tmp_path, raw, labels=tmp_path / "labels.csv")
    assert "<script>alert('1')</script>\"&\\u202egnp" in found.text
    assert "script" not in found.elements
    assert "\\x1b[31m\\n" in found.text
    assert "\x1b" not in found.text
    assert "\u202e" not in found.text


def test_equal_data_give_equal_bytes(tmp_path, monkeypatch):
    page(tmp_path, troubled(tmp_path / "a/small/raw"), name="a.html")
    monkeypatch.setattr(PictureReport, "few_work", 0)  # as for large pictures: other processes
    two = MachineParams.alone(workers=2, progress="none")
    page(tmp_path, troubled(tmp_path / "b/small/raw"), name="b.html", machine=two)
    first = (tmp_path / "a.html").read_bytes()
    assert first == (tmp_path / "b.html").read_bytes()
    assert str(tmp_path).encode() not in first


def test_pictures_beyond_the_work_that_is_allowed_are_left_out(tmp_path, monkeypatch):
    raw = class_folders(tmp_path / "small/raw")
    monkeypatch.setattr(PictureReport, "most_work", 5 * 120)
    found = page(tmp_path, raw)
    assert len(found.pictures) == 5
    assert found.text.count("left out to keep this page small") == 11


def test_the_size_is_bounded(tmp_path):
    """Noise is the worst case for JPEG; long names and many classes are that for text."""
    raw = tmp_path / "small/raw"
    for number in range(200):
        save_picture(
            raw / f"class {number % 25:03} {'x' * 150}" / f"{number}.png", number, size=(240, 240)
        )
    for number in range(100):
        save_picture(raw / "tiny" / f"{number}.png", number, size=(7, 7))
        save_picture(raw / "long" / f"{number}.png", number, size=(9, 300))
    for number in range(100):
        save_picture(raw / "tiny" / f"big {number}.png", 9000 + number)
        save_picture(raw / "long" / f"big {number}.png", 10000 + number)
    cleaned = clean_folder(raw)
    table = pd.concat([cleaned.table] * 20, ignore_index=True)
    table["path"] = [f"{n:06}" * 40 for n in range(len(table))]
    rules = Rules("classification", clean_params(), SPLIT)
    write_page(tmp_path / "page.html", cleaned, raw=raw, rules=rules, machine=MACHINE)
    found = read(tmp_path / "page.html")
    assert 48 <= len(found.pictures) <= 240
    assert max(map(len, found.pictures)) < 12_100
    assert (tmp_path / "page.html").stat().st_size < 3_000_000
    assert sum(1 for _ in choose(table, "classification").rows()) <= 240


@pytest.mark.parametrize("n", [2, 200, 2000])
def test_two_and_two_hundred_classes(tmp_path, n):
    raw = class_folders(tmp_path / "small/raw")
    cleaned = clean_folder(raw)
    cleaned.report["counts"] = {
        split: {f"class {k:04}": (k + 1) * share for k in range(n)}
        for split, share in (("train", 6), ("val", 2), ("test", 0))
    }
    rules = Rules("classification", clean_params(), SPLIT)
    write_page(tmp_path / "page.html", cleaned, raw=raw, rules=rules, machine=MACHINE)
    found = read(tmp_path / "page.html")
    assert ("svg" in found.elements) == (n > 40)
    assert (tmp_path / "page.html").stat().st_size < 650_000
    assert f"{6 * n:,}" in found.text


def test_pictures_of_the_kept_are_those_of_the_folder(tmp_path):
    raw = class_folders(tmp_path / "small/raw")
    for path in raw.glob("dog/*.png"):
        shade = 100 + int(path.stem)
        Image.new("RGB", (20, 10), (shade, 0, 0)).save(path)
    for path in raw.glob("cat/*.png"):
        Image.new("RGB", (20, 10), (0, 0, 100 + int(path.stem))).save(path)
    found = page(tmp_path, raw)
    colors = []
    for address in found.pictures:
        with Image.open(BytesIO(base64.b64decode(address.split(",")[1]))) as image:
            assert image.size == (20, 10)
            assert not image.getexif()
            colors.append("dog" if np.asarray(image)[..., 0].mean() > 50 else "cat")
    assert colors == ["cat"] * 8 + ["dog"] * 8


def test_samples_hardly_change_when_items_are_added(tmp_path):
    raw = class_folders(tmp_path / "raw")
    table = clean_folder(raw).table
    before = {row["path"] for row in choose(table, "classification").rows()}
    cats = table[table["label"] == "cat"].sort_values("id")
    assert {path for path in before if path.startswith("cat")} == set(cats["path"][:8])
    save_picture(raw / "cat/aaa.png", 4242)
    after = {row["path"] for row in choose(clean_folder(raw).table, "classification").rows()}
    assert len(before - after) <= 1


def test_pairs_that_look_alike(tmp_path):
    raw = class_folders(tmp_path / "small/raw")
    near = pd.DataFrame(
        {
            "path_a": ["cat/00.png", "cat/01.png", "cat/02.png", "dog/03.png"],
            "path_b": ["cat/03.png", "dog/00.png", "gone.png", "dog/04.png"],
            "correlation": [0.991, 0.95, 0.94, 0.999],
            "turn": ["none", "mirrored", "none", "none"],
            "split_a": ["train", "train", "val", "test"],
            "split_b": ["train", "test", "train", "test"],
            "label_a": ["cat", "cat", "cat", "dog"],
            "label_b": ["cat", "dog", "cat", "dog"],
            "dropped": ["none", "a", "b", "none"],
        }
    )
    found = page(tmp_path, raw, near=near)
    assert "Pictures that look alike" in found.text
    shown = found.text[found.text.index("Pictures that look alike") :]
    places = [shown.index(text) for text in ("01.png", "gone.png", "dog/03.png"[4:], "0.991")]
    assert places == sorted(places), "two labels first, then across splits, then the closest"
    assert "correlation 0.950, mirrored" in shown
    assert (shown.count("across splits"), shown.count("two labels")) == (2, 1)
    assert shown.count("dropped") == 3  # and once in the sentence above
    assert "4 look-alike pairs" in found.text
    none = page(tmp_path, raw, near=near.iloc[:0])
    assert "✓ no look-alikes" in none.text


def test_decisions_fills_and_warnings(tmp_path):
    raw = class_folders(tmp_path / "small/raw")
    cleaned = clean_folder(raw)
    cleaned.report["warnings"] = [f"careful {n}" for n in range(50)]
    cleaned.report["missing_label"] |= {"n": 1, "filled": [{"path": "cat/00.png", "label": "cat<"}]}
    cleaned.report["review"] = {
        "items": {"keep": 0, "drop": 0, "relabel": 1},
        "decisions": [
            {
                "path": "cat/01.png",
                "label": "dog",
                "decision": "relabel:cat",
                "by": "eva",
                "when": "2026-01-02",
                "note": "it purrs",
            }
        ],
    }
    rules = Rules("classification", clean_params(), SPLIT)
    write_page(tmp_path / "page.html", cleaned, raw=raw, rules=rules, machine=MACHINE)
    found = read(tmp_path / "page.html")
    assert "50 warnings" in found.text
    assert "and 10 more" in found.text
    assert "cat<" in found.text
    for each in ("relabel:cat", "eva", "2026-01-02", "it purrs", "1 decision of people"):
        assert each in found.text
    place = found.text.index
    assert place("careful 0") < place("Classes") < place("Decided by people")


def test_numbers_as_labels(tmp_path):
    raw = class_folders(tmp_path / "small/raw")
    rows = [f"{each.relative_to(raw)},{n / 8}" for n, each in enumerate(sorted(raw.glob("*/*")))]
    write_labels(tmp_path, rows)
    found = page(tmp_path, raw, labels=tmp_path / "labels.csv", task="regression")
    assert "Values" in found.text
    assert len(found.pictures) == 48


def test_a_picture_that_is_gone_leaves_a_tile(tmp_path):
    raw = class_folders(tmp_path / "small/raw")
    cleaned = clean_folder(raw)
    shutil.rmtree(raw / "dog")
    (raw / "cat/00.png").write_bytes(b"text")
    rules = Rules("classification", clean_params(), SPLIT)
    write_page(tmp_path / "page.html", cleaned, raw=raw, rules=rules, machine=MACHINE)
    assert 7 <= len(read(tmp_path / "page.html").pictures) <= 8
