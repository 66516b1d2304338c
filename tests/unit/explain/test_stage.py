"""The stage `explain` on a tiny trained model: whole, the same each time, true of its inputs."""

import json
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from pipeline.compute.params import RuntimeParams
from pipeline.ground.errors import IntegrityError, ParamsError
from pipeline.judge.params import EvaluateParams
from pipeline.picture.explain.params import PictureExplainParams
from pipeline.raw.params import DataParams
from pipeline.train.checkpoint import Checkpoints
from pipeline.train.inputs import open_parts
from pipeline.train.trainer import open_training
from stages import evaluate as evaluate_stage
from stages import explain as explain_stage
from tests.support.trainable import QUIET, SECTIONS, cpu, make_sources, plan
from tests.support.unchecked import unchecked

EVALUATE = EvaluateParams(bootstrap=40, ece_bins=10, worst=3, seed=1)
RUNTIME = RuntimeParams.model_validate(SECTIONS["runtime"])
EXPLAIN = {
    "items": 30,
    "checked": 6,
    "randomizations": 2,
    "max_correlation": 0.5,
    "border_frac": 0.1,
    "covered_frac": 0.2,
    "shown": 3,
    "slices": "auto",
    "min_slice": 5,
    "seed": 1,
}
TEXT = "For: data/cells/raw\n\n## Intended use\nTo test <b>.\n\n- One.\n- Two.\n\n## Limits\n\n"


def with_columns(rows):
    """Add columns as a label file may have them: the sides of a line, and a number for each row."""
    sides = ["left" if number % 3 else "right" for number in range(len(rows))]
    return rows.assign(**{"meta.side": sides, "meta.number": range(len(rows))})


@pytest.fixture(scope="module", params=["classification", "regression"])
def project(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp(request.param)
    options = {"labels": lambda _, level: float(level)} if request.param == "regression" else {}
    sources = make_sources(folder / "s", items=100, change=with_columns, **options)
    given = plan(task=request.param, train={"epochs": 4, "test_views": 2})
    training = open_training(given, open_parts(sources), cpu())
    list(training.run(Checkpoints(folder / "checkpoints", {})))
    made = {"model": folder / "model.safetensors", "bundle": folder / "bundle.json"}
    training.finish().write(
        made["model"], bundle=made["bundle"], history=folder / "history", kept=folder / "kept"
    )
    judged = {"metrics": folder / "metrics.json", "predictions": folder / "predictions.parquet"}
    evaluate_stage.main(
        EVALUATE, RUNTIME, QUIET, store=sources.store, **made, **judged, plots=folder / "plots"
    )
    (folder / "card.md").write_text(TEXT, encoding="utf-8")
    inputs = {
        "store": sources.store,
        **made,
        "record": sources.record,
        **judged,
        "text": folder / "card.md",
    }
    return request.param, given, inputs


def run(project, out, *, data="data/cells/raw", changed=None, **params):
    _, given, inputs = project
    explain_stage.main(
        DataParams(path=data, labels=data, target="label", text=None, encoding=None, layout="auto"),
        given.recipe.train,
        given.recipe.optim,
        given.loss,
        unchecked(given.augment),
        EVALUATE,
        unchecked(PictureExplainParams.model_validate(EXPLAIN | params), "explain"),
        RUNTIME,
        QUIET,
        **{**inputs, **(changed or {})},
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
def found(project, tmp_path_factory):
    return run(project, tmp_path_factory.mktemp("out") / "a")


def test_everything_is_there_and_the_same_each_time(project, found, tmp_path):
    assert run(project, tmp_path / "b") == found
    shared = {
        "card.html",
        "card.md",
        "heat.parquet",
        "report.json",
        "plots/slices.csv",
        "plots/slices.png",
    }
    own = {
        "classification": {
            "plots/reliability.png",
            "plots/reliability.csv",
            "plots/abstention.png",
            "plots/abstention.csv",
            "plots/sheet-01-bright.jpg",
            "plots/sheet-02-dark.jpg",
        },
        "regression": {"plots/predicted.png", "plots/residuals.png", "plots/sheet-01-label.jpg"},
    }
    assert set(found) == shared | own[project[0]]
    assert all(len(content) < 500_000 for name, content in found.items() if "plots" in name)


def test_the_report_says_what_fits_the_task(project, found):
    report = json.loads(found["report.json"])
    assert report["items"] == 20
    assert report["looking"]["items"] == 20
    assert report["looking"]["views"] == 2
    assert (report["sanity"]["items"], report["covered"]["items"]) == (6, 6)
    assert [(each["column"], each["n"]) for each in report["slices"]["slices"]] == [
        ("side", 13),
        ("side", 7),
        *[("number", 1)] * 20,
    ][:2] + [("number", 1)] * 20
    if project[0] == "classification":
        assert set(report["abstention"]["at"]) == {"0.9", "0.8", "0.5"}
        metrics = json.loads(project[2]["metrics"].read_text())
        after = report["calibration"]["after"]
        assert after["ece"] == pytest.approx(metrics["ece"])
        assert report["calibration"]["before"]["ece"] == pytest.approx(metrics["ece_uncalibrated"])
        assert after["low"] == pytest.approx(metrics["ci95"]["ece"]["low"])
        assert "left_out" not in report
    else:
        assert set(report["left_out"]) == {"calibration", "abstention"}
        assert report["slices"]["measure"] == "mean absolute error"


def test_every_map_has_its_row(project, found, tmp_path):
    (tmp_path / "heat.parquet").write_bytes(found["heat.parquet"])
    table = pd.read_parquet(tmp_path / "heat.parquet")
    answers = pd.read_parquet(project[2]["predictions"])
    assert table["id"].tolist() == answers["id"].tolist()
    report = json.loads(found["report.json"])
    assert table["border"].isna().sum() == report["looking"]["without_heat"]
    assert table["lost_hottest"].notna().sum() == 6
    assert table["lost_hottest"].mean() == pytest.approx(report["covered"]["hottest"]["mean"])
    checked = table[table["lost_hottest"].notna()]["id"]
    if project[0] == "regression":
        assert set(checked) == set(sorted(table["id"])[:6])
        return
    counts = table[table["id"].isin(checked)]["predicted"].value_counts()
    for name, ids in table.groupby("predicted")["id"]:  # the first by id, 3 each where there are
        assert set(ids) & set(checked) == set(sorted(ids)[: counts[name]])
    assert (
        counts.max() - counts.min() <= 1 or counts.min() == table["predicted"].value_counts().min()
    )


def test_the_card_tells_what_people_wrote_what_was_measured_and_nothing_of_the_machine(
    project, found, tmp_path
):
    card, page = found["card.md"].decode(), found["card.html"].decode()
    metrics = json.loads(project[2]["metrics"].read_text())
    main = "accuracy" if project[0] == "classification" else "mae"
    assert f"{metrics[main]:.3f}" in card
    assert "To test \\<b\\>.\n\n- One.\n- Two." in card
    assert "<p>To test &lt;b&gt;.</p><ul><li>One.</li><li>Two.</li></ul>" in page.replace("\n", "")
    assert "## Limits\n\nnot stated" in card
    assert "License: not stated" in card
    for text in (card, page):
        assert str(tmp_path.parent) not in text
        assert not re.search(r"\b20\d\d-\d\d-\d\d", text)
    assert not re.search(r"<(script|link|iframe)|src=.(?!data:)|href=", page)
    for name in re.findall(r"\]\((plots/[^)]+)\)", card):
        assert name in found


def test_sheets_show_pictures_and_heat(project, found, tmp_path):
    name = next(name for name in found if name.startswith("plots/sheet"))
    (tmp_path / "sheet.jpg").write_bytes(found[name])
    with Image.open(tmp_path / "sheet.jpg") as sheet:
        pixels = np.asarray(sheet.convert("RGB")).astype(int)
    assert pixels.shape[1] > 1000
    assert (pixels[:, :, 0] - pixels[:, :, 2] > 60).mean() > 0.005  # something glows


def test_text_about_other_data_is_not_used_and_the_card_says_so(project, tmp_path):
    found = run(project, tmp_path / "o", data="data/mine/raw", items=3, checked=2)
    card = found["card.md"].decode()
    assert "is about data/cells/raw, and the data are data/mine/raw: it is not used" in card
    assert "To test" not in card
    assert card.count("not stated") >= 5
    report = json.loads(found["report.json"])
    assert (report["items"], report["looking"]["items"]) == (20, 3)


def test_predictions_of_another_data_set_are_refused(project, tmp_path):
    table = pd.read_parquet(project[2]["predictions"])
    for name, other in (("fewer", table.iloc[1:]), ("moved", table.iloc[::-1])):
        path = tmp_path / f"{name}.parquet"
        other.to_parquet(path)
        with pytest.raises(IntegrityError, match="must hold the items of the store's test split"):
            run(project, tmp_path / "o", changed={"predictions": path})


def test_a_wrong_column_is_said_before_any_map_is_made(project, tmp_path):
    with pytest.raises(ParamsError, match=r"explain\.slices: .*got 'nope' \(there are side, num"):
        run(project, tmp_path / "o", slices=["nope"])
    assert not (tmp_path / "o").exists()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("## Intended use\nAll.\n", r"must begin with `For: <data\.path>`"),
        (
            "For: x\n## Purpose\nAll.\n",
            "its headings must be among Intended use, .*, got 'Purpose'",
        ),
    ],
)
def test_misshaped_words_are_one_line(project, tmp_path, text, words):
    path = Path(tmp_path / "card.md")
    path.write_text(text)
    with pytest.raises(ParamsError, match=words):
        run(project, tmp_path / "o", changed={"text": path}, items=2, checked=1)
