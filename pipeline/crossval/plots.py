"""What a person looks at of a cross-validation: the folds side by side, and their curves."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pipeline.ground import plots
from pipeline.ground.files import write_rows
from pipeline.judge.metrics import shown


def draw_folds(folder: Path, found: dict[str, Any], history: Sequence[Mapping[str, Any]]) -> None:
    """Write `folds.csv`, `folds.png` and `curves.csv` into a folder.

    Args:
        folder: It is there.
        found: metrics.json of the cross-validation.
        history: Rows of history.csv.
    """
    rows = [{"fold": name, **scores} for name, scores in found["fold"].items()]
    names = list(found["mean"])
    write_rows(folder / "folds.csv", rows, columns=["fold", *names])
    drawn = shown(names, place=2)
    plots.fold_scores(
        folder / "folds.png",
        {name: [row[name] for row in rows] for name in drawn},
        means={name: found["mean"][name] for name in drawn},
        intervals={
            name: (found["ci95"][name]["low"], found["ci95"][name]["high"]) for name in drawn
        },
    )
    curves = curve_rows(history)
    write_rows(folder / "curves.csv", curves, columns=list(curves[0]))


def curve_rows(history: Sequence[Mapping[str, Any]]) -> list[dict[str, float]]:
    """Return mean, lowest and highest validation loss by epoch, of the folds that reached it."""
    rows = []
    for epoch in sorted({row["epoch"] for row in history}):
        losses = [row["val_loss"] for row in history if row["epoch"] == epoch]
        rows.append(
            {
                "epoch": epoch,
                "folds": len(losses),
                "mean": sum(losses) / len(losses),
                "lowest": min(losses),
                "highest": max(losses),
            }
        )
    return rows
