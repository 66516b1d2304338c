"""What a person looks at of a cross-validation: the folds side by side."""

from pathlib import Path
from typing import Any

from pipeline import plots
from pipeline.files import write_rows


def draw_folds(folder: Path, found: dict[str, Any]) -> None:
    """Write `folds.csv` and `folds.png` into a folder.

    Args:
        folder: It is there.
        found: metrics.json of the cross-validation.
    """
    rows = [{"fold": name, **scores} for name, scores in found["fold"].items()]
    names = list(found["mean"])
    write_rows(folder / "folds.csv", rows, columns=["fold", *names])
    shown = [name for name in ("accuracy", "balanced_accuracy", "f1_macro", "roc_auc", "ece",
                               "mae", "rmse", "r2") if name in found["mean"]]  # fmt: skip
    plots.fold_scores(
        folder / "folds.png",
        {name: [row[name] for row in rows] for name in shown},
        means={name: found["mean"][name] for name in shown},
        intervals={name: (found["ci95"][name]["low"], found["ci95"][name]["high"])
                   for name in shown},
    )  # fmt: skip
