"""The stage `explain` on a tiny model of texts: whole, the same each time, true of its inputs."""

import base64
import json
import re

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.torch import save_file

from pipeline.compute.params import RuntimeParams
from pipeline.ground.files import sha256_file
from pipeline.judge.params import EvaluateParams
from pipeline.modality.types.params import AugmentSection, ExplainParams
from pipeline.raw.params import DataParams
from pipeline.store.encoded_shard import Encoding
from pipeline.store.writer import write_store
from pipeline.text.shelf.params import TextSpec
from pipeline.weights.params import WeightsParams
from pipeline.weights.weights import fetch_weights, save_backbone
from stages import evaluate as evaluate_stage
from stages import explain as explain_stage
from tests.support.tinytext import (
    ARCHITECTURE,
    BAD,
    GOOD,
    made_texts,
    text_bundle,
    text_network,
    tokenizer_file,
    write_text_model,
)
from tests.support.trainable import QUIET, SECTIONS, plan
from tests.support.unchecked import unchecked

EVALUATE = EvaluateParams(bootstrap=40, ece_bins=10, worst=3, seed=1)
RUNTIME = RuntimeParams.model_validate(SECTIONS["runtime"])
EXPLAIN = {
    "items": 60,
    "checked": 16,
    "randomizations": 2,
    "max_correlation": 0.5,
    "covered_frac": 0.2,
    "shown": 3,
    "slices": "auto",
    "min_slice": 5,
    "seed": 1,
}
TEXT = "For: data/reviews/raw\n\n## Intended use\nTo test.\n\n## Limits\n\n"


def made_store(folder, task):
    texts, labels = made_texts(120)
    texts[0] += " <script>alert(1)</script>"
    raw = folder / "raw"
    raw.mkdir()
    for number, text in enumerate(texts):
        (raw / f"{number:03}.txt").write_text(text)
    rows = pd.DataFrame(
        {
            "path": [f"{number:03}.txt" for number in range(120)],
            "id": [sha256_file(raw / f"{number:03}.txt") for number in range(120)],
            "group": None,
            "weight": 1.0,
            "label": [2.0 + 2 * (each == "good") for each in labels] if task[0] == "r" else labels,
            "split": ["train" if number % 4 < 1 else "test" for number in range(120)],
            "meta.shop": ["left" if number % 3 else "right" for number in range(120)],
        }
    )
    rows.loc[rows.index[-2:], "split"] = "val"
    write_store(folder / "store", rows, Encoding("text", TextSpec(24), 25), raw=raw, machine=QUIET)


def made_record(folder):
    """Fetch weights from a file with its tokenizer beside it, as `weights` does."""
    (folder / "weights").mkdir()
    network = text_network(text_bundle())
    state = {
        name: each.contiguous()
        for name, each in network.backbone.model.state_dict().items()
        if "tokenizer" not in name
    }
    path = folder / "weights/model.safetensors"
    save_file(state, path)
    path.with_name("tokenizer.json").write_bytes(tokenizer_file())
    params = WeightsParams(
        source=f"file:{path}", architecture=ARCHITECTURE, sha256=sha256_file(path), key=None
    )
    found, record = fetch_weights(params, folder, resolve_model=None)
    save_backbone(folder / "backbone", folder / "record.json", state=found, facts=record)


@pytest.fixture(scope="module", params=["classification", "regression"])
def inputs(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp(request.param)
    made_store(folder, request.param)
    made_record(folder)
    write_text_model(folder / "trained", request.param, max_tokens=24)
    made = {
        name: folder / "trained" / file
        for name, file in (("model", "model.safetensors"), ("bundle", "bundle.json"))
    }
    judged = {"metrics": folder / "metrics.json", "predictions": folder / "predictions.parquet"}
    evaluate_stage.main(
        EVALUATE, RUNTIME, QUIET, store=folder / "store", **made, **judged, plots=folder / "plots"
    )
    (folder / "card.md").write_text(TEXT, encoding="utf-8")
    return {
        "store": folder / "store",
        **made,
        "record": folder / "record.json",
        **judged,
        "text": folder / "card.md",
    }


def run(inputs, out):
    given = plan(task="classification")
    explain_stage.main(
        DataParams(
            path="data/reviews/raw",
            labels="data/reviews/raw",
            target="label",
            text="text",
            encoding=None,
            layout="auto",
        ),
        given.recipe.train,
        given.recipe.optim,
        given.loss,
        unchecked(AugmentSection(), "augment"),
        EVALUATE,
        unchecked(ExplainParams.model_validate(EXPLAIN), "explain"),
        RUNTIME,
        QUIET,
        **inputs,
        report=out / "report.json",
        heat=out / "heat.parquet",
        card=out / "card.md",
        page=out / "card.html",
        plots=out / "plots",
    )
    return {
        path.relative_to(out).as_posix(): path.read_bytes()
        for path in out.rglob("*")
        if path.is_file()
    }


@pytest.fixture(scope="module")
def found(inputs, tmp_path_factory):
    return run(inputs, tmp_path_factory.mktemp("out") / "a")


def is_classes(found):
    return "plots/abstention.csv" in found


def test_everything_is_there_and_the_same_each_time(inputs, found, tmp_path):
    torch.manual_seed(7)
    assert run(inputs, tmp_path / "b") == found
    sheets = sorted(name for name in found if "sheet" in name)
    classes = ["plots/sheet-01-bad.svg", "plots/sheet-02-good.svg"]
    assert sheets == (classes if is_classes(found) else ["plots/sheet-01-stars.svg"])
    assert all(len(found[name]) < 500_000 for name in sheets)


def test_the_report_finds_what_is_planted(found):
    report = json.loads(found["report.json"])
    left_out, words = report["left_out_words"], report["looking"]["by_answer"]
    assert left_out["difference"]["low"] > 0
    assert left_out["heaviest"]["mean"] > 3 * abs(left_out["others"]["mean"])
    assert report["sanity"]["maps_depend_on_weights"] is True
    if is_classes(found):
        assert {each["word"] for each in words["good"][:4]} <= set(GOOD)
        assert {each["word"] for each in words["bad"][:4]} <= set(BAD)
    else:
        assert {each["word"] for each in words["stars"][:4]} <= set(GOOD)
    assert report["slices"]["slices"]


def test_the_table_has_a_row_for_each_text_that_was_looked_at(inputs, found, tmp_path):
    (tmp_path / "heat.parquet").write_bytes(found["heat.parquet"])
    table = pd.read_parquet(tmp_path / "heat.parquet")
    assert len(table) == 60
    checked = table["lost_heaviest"].notna()
    assert checked.sum() == 16
    assert np.isin(table["heaviest"], GOOD + BAD).mean() > (0.7 if is_classes(found) else 0.4)
    assert (table["words"] >= 6).all()


def test_the_card_shows_words_and_nothing_runs(found):
    page, card = found["card.html"].decode(), found["card.md"].decode()
    assert "Which words it reads" in page
    assert "the first 24 tokens" in page
    assert "Without the 20% of words that weigh most" in card
    assert "<script" not in page
    images = re.findall(r'src="data:image/svg\+xml;base64,([^"]+)"', page)
    assert len(images) > 4
    assert all(b"<script" not in base64.b64decode(each) for each in images)
    assert "pixels" not in page
    assert "picture" not in page
