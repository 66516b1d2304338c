"""Evaluation tells the truth about the test split, in every file that it writes."""

import dataclasses

import numpy as np
import pandas as pd
import pytest
from sklearn import metrics as reference

from pipeline.ground.errors import DataError, ParamsError
from pipeline.ground.files import canonical_json
from pipeline.ground.params import load_section
from pipeline.judge.drawing import draw
from pipeline.judge.evaluation import judge, summary
from pipeline.judge.params import EvaluateParams
from pipeline.model.bundle import Predictor
from pipeline.store.store import Store
from pipeline.train.checkpoint import Checkpoints
from pipeline.train.inputs import open_parts
from pipeline.train.trainer import open_training
from tests.support.trainable import QUIET, cpu, make_sources, plan

PARAMS = EvaluateParams(bootstrap=50, ece_bins=10, worst=5, seed=1)


def train(folder, *, task="classification", epochs=4, **options):
    sources = make_sources(folder, **options)
    training = open_training(plan(task=task, train={"epochs": epochs}), open_parts(sources), cpu())
    list(training.run(Checkpoints(folder / "checkpoints", {})))
    training.finish().write(
        folder / "model", bundle=folder / "bundle", history=folder / "history", kept=folder / "kept"
    )
    return Store.open(sources.store), Predictor.load(folder / "model", folder / "bundle")


def noisy(number, level) -> str:
    """Label every fifth picture wrongly, so that there are mistakes."""
    return ("bright" if number % 2 else "dark") if number % 5 else "dark"


@pytest.fixture(scope="module")
def classes(tmp_path_factory):
    store, predictor = train(tmp_path_factory.mktemp("c"), items=100, labels=noisy)
    return store, predictor, judge(store, predictor, PARAMS, QUIET)


@pytest.fixture(scope="module")
def values(tmp_path_factory):
    store, predictor = train(
        tmp_path_factory.mktemp("v"), task="regression", labels=lambda number, level: str(level)
    )
    return store, predictor, judge(store, predictor, PARAMS, QUIET)


def test_metrics_are_those_of_the_predictions(classes):
    store, _, found = classes
    table, metrics = found.predictions, found.metrics
    assert metrics["n"] == len(table) == len(store.rows("test"))
    assert metrics["accuracy"] == (table["label"] == table["predicted"]).mean() < 1.0
    assert metrics["roc_auc"] == pytest.approx(
        reference.roc_auc_score(table["label"] == "dark", table["p_dark"])
    )
    assert metrics["loss"] == pytest.approx(
        reference.log_loss(table["label"], table[["p_bright", "p_dark"]])
    )
    assert set(metrics) == {
        "accuracy",
        "balanced_accuracy",
        "precision_macro",
        "recall_macro",
        "f1_macro",
        "roc_auc",
        "pr_auc",
        "ece",
        "ece_uncalibrated",
        "loss",
        "n",
        "baseline",
        "per_class",
        "ci95",
    }
    canonical_json(metrics)


def test_predictions_have_the_columns_of_the_contract_in_store_order(classes):
    store, predictor, found = classes
    table = found.predictions
    rows = store.rows("test")
    assert list(table) == [
        "path",
        "id",
        "split",
        "label",
        "predicted",
        "confidence",
        "p_bright",
        "p_dark",
    ]
    for name in ("path", "id", "split", "label"):
        assert table[name].tolist() == store.index[name][rows].tolist()
    chances = predictor.predict(store.read(rows))
    assert (table[["p_bright", "p_dark"]].to_numpy() == chances).all()
    assert (table["confidence"] == chances.max(axis=1)).all()


def test_calibration_is_told_before_and_after(classes):
    _, predictor, found = classes
    cold = dataclasses.replace(predictor.bundle, temperature=5.0)
    other = Predictor(predictor.network, cold, runtime=predictor.runtime)
    again = judge(classes[0], other, PARAMS, QUIET).metrics
    assert again["ece_uncalibrated"] == found.metrics["ece_uncalibrated"]
    assert again["ece"] != found.metrics["ece"]
    assert again["accuracy"] == found.metrics["accuracy"]


def test_the_baseline_says_the_commonest_class_of_train(classes):
    store, _, found = classes
    shares = store.index["label"][store.index["split"] == "train"].value_counts(normalize=True)
    truth = store.index["label"][store.rows("test")]
    baseline = found.metrics["baseline"]
    assert baseline["accuracy"] == (truth == shares.idxmax()).mean()
    assert baseline["balanced_accuracy"] == 0.5
    assert baseline["roc_auc"] == 0.5
    assert baseline["loss"] == pytest.approx(-np.log(shares[truth]).mean())


def test_intervals_hold_their_metric(classes):
    found = classes[2].metrics
    assert {"accuracy", "roc_auc", "f1_macro", "loss"} <= set(found["ci95"])
    for name in ("accuracy", "balanced_accuracy", "f1_macro", "loss"):
        assert found["ci95"][name]["low"] <= found[name] <= found["ci95"][name]["high"]


def test_groups_widen_intervals(tmp_path):
    def one_group_for_each_answer(rows):
        return rows.assign(group=np.where(rows["path"] < "050.png", "a", "b"))

    store, predictor = train(tmp_path, items=100, labels=noisy, change=one_group_for_each_answer)
    found = judge(store, predictor, PARAMS, QUIET).metrics
    parts = judge(store, predictor, PARAMS, QUIET).predictions
    right = parts["label"] == parts["predicted"]
    means = {right[parts["path"] < "050.png"].mean(), right[parts["path"] >= "050.png"].mean()}
    assert found["ci95"]["accuracy"]["low"] == pytest.approx(min(means))
    assert found["ci95"]["accuracy"]["high"] == pytest.approx(max(means))


def test_the_summary_is_one_line_with_interval_and_baseline(classes):
    found = classes[2].metrics
    low, high = (found["ci95"]["accuracy"][end] for end in ("low", "high"))
    assert summary(found) == (
        f"test, {found['n']} items: accuracy {found['accuracy']:.4f} "
        f"(95 %: {low:.4f} to {high:.4f}), baseline {found['baseline']['accuracy']:.4f}"
    )


def test_what_is_drawn(classes, tmp_path):
    store, _, found = classes
    draw(found, tmp_path, store=store, params=PARAMS)
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "confusion.csv",
        "confusion.png",
        "pr.csv",
        "pr.png",
        "reliability.csv",
        "reliability.png",
        "roc.csv",
        "roc.png",
        "worst.png",
    ]
    confusion = pd.read_csv(tmp_path / "confusion.csv")
    assert confusion["actual"].tolist() == found.predictions["label"].tolist()
    assert confusion["predicted"].tolist() == found.predictions["predicted"].tolist()
    roc = pd.read_csv(tmp_path / "roc.csv")
    assert np.trapezoid(roc["tpr"], roc["fpr"]) == pytest.approx(found.metrics["roc_auc"], abs=0.01)
    assert pd.read_csv(tmp_path / "reliability.csv")["count"].sum() == found.metrics["n"]


def test_the_same_evaluation_draws_the_same_bytes(classes, tmp_path):
    store, predictor, found = classes
    for name, evaluation in (("a", found), ("b", judge(store, predictor, PARAMS, QUIET))):
        (tmp_path / name).mkdir()
        draw(evaluation, tmp_path / name, store=store, params=PARAMS)
        assert canonical_json(evaluation.metrics) == canonical_json(found.metrics)
    for path in (tmp_path / "a").iterdir():
        assert path.read_bytes() == (tmp_path / "b" / path.name).read_bytes()


def test_regression_in_the_target_s_unit(values, tmp_path):
    store, _, found = values
    table, metrics = found.predictions, found.metrics
    assert list(table) == ["path", "id", "split", "label", "value"]
    mae = reference.mean_absolute_error(table["label"], table["value"])
    assert metrics["mae"] == pytest.approx(mae)
    assert metrics["r2"] == pytest.approx(reference.r2_score(table["label"], table["value"]))
    truth = store.index["label"].astype(float)
    mean = truth[store.rows("train")].mean()
    assert metrics["baseline"]["mae"] == pytest.approx(np.abs(table["label"] - mean).mean())
    assert set(metrics) == {"mae", "mse", "rmse", "r2", "pearson_r", "n", "baseline", "ci95"}
    assert "mae" in summary(metrics)
    draw(found, tmp_path, store=store, params=PARAMS)
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "scatter.csv",
        "scatter.png",
        "worst.png",
    ]


def test_a_class_that_test_lacks_leaves_no_nan(tmp_path):
    def dark_only(rows):
        return rows[(rows["split"] != "test") | (rows["label"] == "dark")]

    store, predictor = train(tmp_path / "s", items=60, change=dark_only)
    found = judge(store, predictor, PARAMS, QUIET)
    canonical_json(found.metrics)
    assert "roc_auc" not in found.metrics
    assert found.metrics["per_class"]["bright"]["n"] == 0
    draw(found, tmp_path, store=store, params=PARAMS)


def test_a_perfect_model_has_an_empty_sheet(tmp_path):
    store, predictor = train(tmp_path / "s", items=60, epochs=15)
    found = judge(store, predictor, PARAMS, QUIET)
    assert found.metrics["accuracy"] == 1.0
    draw(found, tmp_path, store=store, params=PARAMS)
    assert (tmp_path / "worst.png").stat().st_size > 0


def test_odd_class_names_pass_through(tmp_path):
    names = {"bright": "a.b $x$", "dark": "日本\n,"}

    def renamed(rows):
        return rows.assign(label=rows["label"].map(names))

    store, predictor = train(tmp_path / "s", items=60, change=renamed)
    found = judge(store, predictor, PARAMS, QUIET)
    draw(found, tmp_path, store=store, params=PARAMS)
    assert set(found.metrics["per_class"]) == set(names.values())
    table = pd.read_csv(tmp_path / "confusion.csv")
    assert set(table["actual"]) == set(names.values())


def test_an_empty_test_split_is_refused(tmp_path):
    store, predictor = train(tmp_path / "s", items=60, change=lambda r: r[r["split"] != "test"])
    with pytest.raises(DataError, match=r"store: the test split is empty \(raise split.test\)$"):
        judge(store, predictor, PARAMS, QUIET)


def test_a_label_that_the_model_does_not_know_is_refused(classes):
    store, predictor, _ = classes
    index = store.index.assign(label=store.index["label"].replace("dark", "zebra"))
    with pytest.raises(DataError, match="have a label that the model was not trained for, got 'z"):
        judge(dataclasses.replace(store, index=index), predictor, PARAMS, QUIET)


@pytest.mark.parametrize(
    "changes", [{"bootstrap": -1}, {"ece_bins": 1}, {"worst": 97}, {"seed": -1}], ids=str
)
def test_values_out_of_range_are_refused(changes, tmp_path):
    raw = {"evaluate": PARAMS.model_dump() | changes}
    with pytest.raises(ParamsError, match=f"evaluate.{next(iter(changes))}: must be"):
        load_section(raw, "evaluate", EvaluateParams, path=tmp_path / "p.yaml")
