"""The model card of known facts, word for word; and what a hostile name cannot do to it."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pipeline.explain.card import Facts, make_card
from pipeline.explain.card_markdown import card_markdown
from pipeline.explain.card_page import card_page
from pipeline.explain.card_text import CardText, read_card_text
from pipeline.explain.slices import Slice
from pipeline.modality.types.evidence import Part, Sheet
from pipeline.modality.types.pretrained import Expected
from pipeline.picture.explain.sheets import Example
from pipeline.weights.weights import BackboneRecord
from tests.support.closure import ROOT
from tests.support.planted import bundle_of

GOLDEN = Path(__file__).parents[2] / "golden" / "card.md"
HOSTILE = "<script>alert(1)</script>|`*x*"

REPORT = {
    "items": 200,
    "warnings": ["look out: 1 < 2"],
    "looking": {
        "method": "Grad-CAM",
        "layer": "last feature map of a_net, 7 x 7",
        "views": 8,
        "items": 200,
        "without_heat": 1,
        "border": {
            "area": 0.36,
            "heat": {"mean": 0.27, "low": 0.25, "high": 0.29},
            "density": 0.75,
        },
    },
    "sanity": {
        "items": 64,
        "randomizations": 3,
        "limit": 0.5,
        "maps_depend_on_weights": True,
        "head": {"n": 64, "mean": 0.21, "low": 0.15, "high": 0.27},
        "top": {"n": 64, "mean": 0.05, "low": -0.05, "high": 0.15},
    },
    "covered": {
        "items": 64,
        "area": 0.2,
        "hottest": {"mean": 0.23},
        "elsewhere": {"mean": 0.14},
        "difference": {"mean": 0.09, "low": 0.04, "high": 0.14},
        "by_answer": {
            "dark": {"n": 40, "hottest": 0.2, "elsewhere": 0.1},
            "bright": {"n": 24, "hottest": 0.3, "elsewhere": 0.0},
        },
    },
    "calibration": {
        "temperature": 0.85,
        "before": {"ece": 0.034, "low": 0.027, "high": 0.062},
        "after": {"ece": 0.031, "low": 0.024, "high": 0.06},
        "change": {"ece": -0.003, "low": -0.019, "high": 0.015},
    },
    "abstention": {
        "area": {"accuracy": 0.95},
        "at": {
            "0.9": {"accuracy": 0.914, "low": 0.887, "high": 0.938, "confidence": 0.71},
            "0.8": {"accuracy": 0.944, "low": 0.925, "high": 0.965, "confidence": 0.828},
            "0.5": {"accuracy": 0.969, "confidence": 0.95},
        },
    },
    "slices": {"measure": "accuracy", "text": "The worst slice is side = left.", "slices": []},
}


def facts(plots, *, name="cells", text=None):
    bundle = dataclasses.replace(bundle_of(architecture="a_net"), views=tuple(range(8)))
    tiny = np.zeros((8, 8, 3), dtype=np.uint8)
    plots.mkdir()
    for file in ("reliability.png", "abstention.png", "slices.png", "sheet-01-dark.jpg"):
        Image.fromarray(tiny).save(plots / file)
    words = {
        "Intended use": ("To tell dark from bright.", "- In the lab."),
        "Data license": ("CC BY 4.0.",),
    }
    return Facts(
        data_name=name,
        counts={
            "dark": {"train": 1000, "val": 10, "test": 120},
            "bright": {"train": 900, "val": 9, "test": 80},
        },
        groups=30,
        bundle=bundle,
        record=BackboneRecord(
            "picture",
            "a_net",
            "package:a-net",
            "a" * 64,
            Expected((3, 224, 224), {}, None),
            3371008,
        ),
        params={"train": {"strategy": "top", "epochs": 10}, "loss": {"sample_weights": True}},
        metrics={
            "accuracy": 0.884,
            "n": 200,
            "ci95": {"accuracy": {"low": 0.859, "high": 0.907}},
            "baseline": {"accuracy": 0.68},
            "loss": 0.29,
            "per_class": {"dark": {"n": 120, "recall": 0.7}, "bright": {"n": 80}},
        },
        report=REPORT,
        text=text or CardText(words),
        digests={"model.safetensors": "b" * 64},
        plots=plots,
        sheets=[
            Sheet(
                f"{name}: where the model looked",
                [Part("right", 9, "surest first", [Example(tiny, tiny, name, "said dark")])],
            )
        ],
        slices=[
            Slice("side", "left", 120, 0.8, 0.7, 0.9, -0.1, -0.15, -0.05, "worse"),
            Slice("side", name, 12),
        ],
    )


def test_the_card_is_the_golden_one(tmp_path):
    card = card_markdown(make_card(facts(tmp_path / "plots")), tmp_path)
    assert card == GOLDEN.read_text(encoding="utf-8")


def test_a_promise_of_privacy_is_told_with_all_that_decides_it(tmp_path):
    known = facts(tmp_path / "plots")
    privacy = {
        "epsilon": 8.0,
        "delta": 1e-05,
        "unit": "item",
        "units": 1900,
        "clip": 0.1,
        "releases": [{"multiplier": 7.5, "rate": 1.0, "steps": 160}],
        "public": ["the names of the classes"],
    }
    bundle = dataclasses.replace(known.bundle, privacy=privacy)
    card = card_markdown(make_card(dataclasses.replace(known, bundle=bundle)), tmp_path)
    assert "epsilon 8, delta 1e-05 for each item of train (1,900 of them)" in card
    for row in ("| steps | 160 |", "| noise multiplier | 7.5 |", "| sampling rate | 1.0 |"):
        assert row in card
    assert "fitted on the validation split" not in card


def test_markdown_and_page_say_the_same(tmp_path):
    card = make_card(facts(tmp_path / "plots"))
    page, markdown = card_page(card), card_markdown(card, tmp_path)
    for part in card.parts:
        assert f"<h2>{part.title}</h2>" in page
        assert f"## {part.title}" in markdown
    assert page.count("data:image/png") == 3
    assert page.count("data:image/jpeg") == 3  # the legend, a picture, and the same with heat
    assert page == card_page(card)


def test_hostile_names_stay_text(tmp_path):
    card = make_card(facts(tmp_path / "plots", name=HOSTILE))
    page, markdown = card_page(card), card_markdown(card, tmp_path)
    assert "<script" not in page
    assert "&lt;script&gt;" in page
    assert "\\<script\\>alert(1)\\</script\\>\\|\\`\\*x\\*" in markdown
    assert "<script" not in markdown.replace("\\<script", "")


@pytest.mark.parametrize(
    ("body", "found"),
    [
        ("## Limits\nOne\nline.\n\nTwo.\n", {"Limits": ("One line.", "Two.")}),
        ("## Limits\nSome:\n- a\n  b\n- c\n", {"Limits": ("Some:", "- a b", "- c")}),
        ("## Limits\n<!-- only\na comment -->\n## Contacts\nMe.\n", {"Contacts": ("Me.",)}),
        ("", {}),
    ],
)
def test_words_are_paragraphs_and_items(tmp_path, body, found):
    path = tmp_path / "card.md"
    path.write_text(f"\nFor: data/x/raw\n\n{body}")
    assert read_card_text(path, "data/x/raw") == CardText(found)


def test_the_card_of_the_demonstration_is_readable_and_names_its_license():
    text = read_card_text(ROOT / "explain" / "card.md", "data/elpv/raw")
    assert text.note is None
    assert "CC BY-NC-SA 4.0" in " ".join(text.sections["Data license"])
