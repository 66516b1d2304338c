"""The pictures and curve tables of an evaluation, as DVC plots and as PNGs."""

from pathlib import Path

import pandas as pd

from pipeline.ground import plots
from pipeline.ground.files import write_rows
from pipeline.judge import curves
from pipeline.judge.calibration import reliability_bins
from pipeline.judge.evaluation import Evaluation
from pipeline.judge.params import EvaluateParams
from pipeline.modality.shown.showing import show
from pipeline.store.store import Store


def draw(evaluation: Evaluation, folder: Path, *, store: Store, params: EvaluateParams) -> None:
    """Write curves as CSV and PNG, and the sheet of the worst mistakes, into a folder."""
    if evaluation.bundle.task == "regression":
        _draw_values(evaluation, folder)
    else:
        _draw_classes(evaluation, folder, params.ece_bins)
    _draw_worst(evaluation, folder, store=store, count=params.worst)


def _draw_classes(evaluation: Evaluation, folder: Path, ece_bins: int) -> None:
    served, labels, classes = evaluation.outputs, evaluation.targets_N, evaluation.bundle.classes
    found = evaluation.metrics
    title = f"test, {found['n']} items"
    roc, pr = (make(served, labels, classes) for make in (curves.roc_curves, curves.pr_curves))
    right = served.argmax(axis=1) == labels
    bins = reliability_bins(served.max(axis=1), right, ece_bins)
    counts = curves.confusion_counts(labels, served.argmax(axis=1), len(classes))
    pairs = evaluation.predictions[["label", "predicted"]]
    _write_csv(folder / "confusion.csv", pairs.rename(columns={"label": "actual"}))
    _write_csv(folder / "roc.csv", curves.mean_roc(roc))
    _write_csv(folder / "pr.csv", curves.mean_pr(pr))
    _write_csv(folder / "reliability.csv", pd.DataFrame(bins)[bins["count"] > 0])
    plots.confusion_matrix(
        folder / "confusion.png", counts, classes=classes, title=f"Confusion ({title})"
    )
    each = found["per_class"]
    plots.roc_curve(
        folder / "roc.png",
        {f"{k} (area {each[k]['roc_auc']:.3f})": roc[k] for k in roc},
        title=f"ROC ({title})",
    )
    plots.pr_curve(
        folder / "pr.png",
        {f"{k} (area {each[k]['pr_auc']:.3f})": pr[k] for k in pr},
        title=f"Precision and recall ({title})",
    )
    plots.reliability(
        folder / "reliability.png",
        bins["confidence"],
        bins["accuracy"],
        count=bins["count"],
        title=f"Calibration (error {found['ece']:.3f}; {title})",
    )


def _draw_values(evaluation: Evaluation, folder: Path) -> None:
    actual, values = evaluation.targets_N, evaluation.outputs[:, 0]
    _write_csv(folder / "scatter.csv", pd.DataFrame({"actual": actual, "predicted": values}))
    plots.regression_scatter(
        folder / "scatter.png",
        actual,
        values,
        target=evaluation.bundle.target,
        title=f"test, {len(actual)} items",
    )


def _draw_worst(evaluation: Evaluation, folder: Path, *, store: Store, count: int) -> None:
    """Draw the mistakes that the model was surest of, or the largest errors."""
    table = evaluation.predictions
    if evaluation.bundle.task == "regression":
        badness = (table["value"] - table["label"]).abs()
        words = [
            f"{a:.3g}\nsaid {v:.3g}" for a, v in zip(table["label"], table["value"], strict=True)
        ]
        wrong = badness > 0
    else:
        badness, wrong = table["confidence"], table["label"] != table["predicted"]
        words = [
            f"{a}\nsaid {p} {c:.2f}"
            for a, p, c in zip(table["label"], table["predicted"], table["confidence"], strict=True)
        ]
    order = badness[wrong].sort_values(ascending=False, kind="stable").index[:count]
    shown = show(store.modality)
    drawn = shown.draw(store.read(store.rows("test")[order]))
    captions = [f"{Path(table['path'][at]).name}\n{words[at]}" for at in order]
    title = f"Worst mistakes ({int(wrong.sum())} of {len(table)})"
    cells = [([each], caption) for each, caption in zip(drawn, captions, strict=True)]
    shown.write_sheet(folder / f"worst{shown.suffix}", cells, title=title)


def _write_csv(path: Path, table: pd.DataFrame) -> None:
    rows = [dict(zip(table.columns, row, strict=True)) for row in table.itertuples(index=False)]
    write_rows(path, rows, columns=list(table.columns))
