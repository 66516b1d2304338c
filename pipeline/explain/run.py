"""Why a model answers as it does, and how far it can be trusted: in numbers and by examples.

Axes: N = items of the test split.
"""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from pipeline.compute.engine import MachineParams
from pipeline.explain.abstention import TOLD, judge_abstention
from pipeline.explain.calibration import judge_calibration
from pipeline.explain.drawing import answered_curve, reliabilities, residuals, slice_scores
from pipeline.explain.slices import Slice, goodness, judge_slices, slice_columns, worst_slice
from pipeline.ground.files import replacing_folder, write_rows
from pipeline.ground.plots import regression_scatter
from pipeline.judge.answers import Answers, Subject
from pipeline.judge.params import EvaluateParams
from pipeline.judge.resampling import Bootstrap
from pipeline.modality.files import files
from pipeline.modality.shown.explaining import explainer
from pipeline.modality.types.evidence import Evidence, Sheet
from pipeline.modality.types.params import ExplainParams

log = logging.getLogger(__name__)

_NOTHING = Evidence({}, np.array([], dtype=np.int64), {}, ())
"""Found where a modality explains no answers."""

_LEFT_OUT = {
    "calibration": "a value has no confidence",
    "abstention": "without a confidence nothing says which values are unsure",
}


@dataclass(frozen=True)
class Explained:
    """What was found.

    Attributes:
        report: What report.json holds.
        table: A row for each item that was looked at: what was asked, answered and measured.
        sheets: Examples.
        curve: Accuracy over the share that is answered; empty for regression.
        bins: By `before` and `after`, the bins of the calibration; empty for regression.
        slices: Parts of the test split.
    """

    report: dict[str, Any]
    table: pd.DataFrame
    sheets: Sequence[Sheet[Any]]
    curve: Sequence[Mapping[str, float]]
    bins: Mapping[str, Sequence[Mapping[str, float]]]
    slices: Sequence[Slice]


def explain_answers(
    subject: Subject, params: ExplainParams, evaluate: EvaluateParams, machine: MachineParams
) -> Explained:
    """Look at the test split.

    Args:
        subject: The model, and what it answered.
        params: What is looked at.
        evaluate: Bins, and the resamples behind intervals.
        machine: Progress.

    Raises:
        ParamsError: `explain.slices` names a column that is not there.
    """
    answers = subject.answers
    bootstrap = Bootstrap(evaluate.bootstrap, evaluate.seed, answers.groups_N)
    columns = slice_columns(answers.index, params.slices)
    explain = explainer(answers.bundle.modality)
    found = explain.look(subject, params, machine, bootstrap) if explain else _NOTHING
    report: dict[str, Any] = {"items": len(answers), **found.report}
    curve: Sequence[Mapping[str, float]] = []
    bins: dict[str, Sequence[Mapping[str, float]]] = {}
    if answers.is_classes:
        report["calibration"] = judge_calibration(answers, evaluate.ece_bins, bootstrap)
        bins = {name: report["calibration"][name].pop("bins") for name in ("before", "after")}
        report["abstention"] = judge_abstention(answers, bootstrap)
        curve = report["abstention"].pop("curve")
    else:
        report["left_out"] = _LEFT_OUT
    slices = judge_slices(answers, columns, least=params.min_slice, bootstrap=bootstrap)
    report["slices"] = _describe_slices(slices, params, is_error=not answers.is_classes)
    report["warnings"] = explain.warnings(report) if explain else []
    report["findings"] = explain.findings(report) if explain else []
    for text in report["findings"]:
        log.info(text)
    for text in report["warnings"]:
        log.warning(text)
    return Explained(report, _table(answers, found), found.sheets, curve, bins, slices)


def draw(explained: Explained, answers: Answers, plots: Path) -> None:
    """Write the sheets, and curves as PNG and CSV, into a folder that is replaced."""
    with replacing_folder(plots) as folder:
        if explain := explainer(answers.bundle.modality):
            explain.write_sheets(folder, explained.sheets)
        if answers.is_classes:
            _draw_classes(explained, folder, answers)
        else:
            _draw_values(answers, folder)
        _draw_slices(explained, answers, folder)


def _draw_slices(explained: Explained, answers: Answers, folder: Path) -> None:
    rows = [{"name": each.name, **asdict(each)} for each in explained.slices]
    write_rows(folder / "slices.csv", rows, columns=["name", *Slice.__dataclass_fields__])
    if rows:
        slice_scores(
            folder / "slices.png",
            rows,
            overall=float(goodness(answers).mean()),
            measure=explained.report["slices"]["measure"],
            title=f"Parts of the test split ({len(answers):,} items)",
        )


def _draw_classes(explained: Explained, folder: Path, answers: Answers) -> None:
    found = explained.report["calibration"]
    reliabilities(
        folder / "reliability.png",
        {f"{name} (error {found[name]['ece']:.3f})": bins for name, bins in explained.bins.items()},
        title=f"Calibration before and after the temperature {found['temperature']:.2f}",
    )
    columns = ["set", "from", "to", "n", "confidence", "accuracy"]
    write_rows(
        folder / "reliability.csv",
        [{"set": name, **each} for name, bins in explained.bins.items() for each in bins],
        columns=columns,
    )
    answered_curve(
        folder / "abstention.png",
        explained.curve,
        told=TOLD,
        items=files(answers.bundle.modality).NOUN[1],
        title=f"Leaving the unsure to a person ({len(answers):,} items)",
    )
    write_rows(folder / "abstention.csv", explained.curve, columns=list(explained.curve[0]))


def _draw_values(answers: Answers, folder: Path) -> None:
    values, actual = answers.served[:, 0], answers.targets_N
    title = f"test, {len(answers):,} items"
    regression_scatter(
        folder / "predicted.png", actual, values, target=answers.bundle.target, title=title
    )
    residuals(
        folder / "residuals.png",
        values,
        values - actual,
        target=answers.bundle.target,
        title=f"Errors ({title})",
    )


def _describe_slices(
    slices: Sequence[Slice], params: ExplainParams, *, is_error: bool
) -> dict[str, Any]:
    judged = [each for each in slices if each.score is not None]
    measure = "mean absolute error" if is_error else "accuracy"
    worst = worst_slice(slices, is_error=is_error)
    report: dict[str, Any] = {
        "measure": measure,
        "judged": len(judged),
        "text": _slice_text(slices, worst, params, measure),
        "slices": [asdict(each) for each in slices],
    }
    return report | ({"worst": worst.name} if worst else {})


def _slice_text(
    slices: Sequence[Slice], worst: Slice | None, params: ExplainParams, measure: str
) -> str:
    if not slices:
        return (
            "No column of the label file cuts the test split in parts: explain.slices names "
            "none, or there is none with 2 to 20 values."
        )
    judged = [each for each in slices if each.score is not None]
    if worst is None:
        return (
            f"None of {len(slices)} slices has {params.min_slice} items (explain.min_slice) and as "
            "many beside it: they are counted, not judged."
        )
    told = [each for each in judged if each.claim in ("worse", "better")]
    claims = (
        "; ".join(f"{each.name} is {each.claim} than the rest" for each in told)
        or "no slice is told from the rest"
    )
    return (
        f"The worst slice is {worst.name}: {measure} {worst.score:.3f} "
        f"(n = {worst.n}). {len(judged)} of {len(slices)} slices are judged, those with at least "
        f"{params.min_slice} items and as many beside them. Of {len(judged)} intervals of 95 % "
        f"about {0.05 * len(judged):.1f} miss by chance alone, so claims rest on wider ones "
        f"(Bonferroni): {claims}.{_followers(slices)}"
    )


def _followers(slices: Sequence[Slice]) -> str:
    names = dict.fromkeys(each.column for each in slices if each.follows_label)
    if not names:
        return ""
    return (
        f" In {' and '.join(names)} each value stands with one class only: such a slice is a part "
        "of a class, and its accuracy tells how well that is recalled."
    )


def _table(answers: Answers, found: Evidence) -> pd.DataFrame:
    own = [
        "path",
        "id",
        "label",
        *(["predicted", "confidence"] if answers.is_classes else ["value"]),
    ]
    table = answers.table[own].iloc[found.places_N].reset_index(drop=True)
    return table.assign(**found.columns)
