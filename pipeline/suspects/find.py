"""All suspects of a data set: what is found, in a table and in numbers.

Axes: N = rows of the store.
"""

import logging
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from pipeline.ground.robust import robust_deviations
from pipeline.manifest.manifest import SPLITS
from pipeline.modality.files import files
from pipeline.modality.quality import quality
from pipeline.store.store import Store
from pipeline.suspects.heldout import HeldOut, Setting, predict_held_out
from pipeline.suspects.labels import LabelVerdicts, judge_classes, judge_values
from pipeline.suspects.neighbors import Neighbors, find_neighbors
from pipeline.suspects.params import SuspectsParams
from pipeline.suspects.reasons import REASONS
from pipeline.suspects.table import TEST, Suspect, tabulate

log = logging.getLogger(__name__)

_DIGITS = 6
_TEST_NOTE = (
    "suspects of the test split are ranked apart: look at them, and decide by the {} alone; "
    "to relabel test items as a model advises biases every test metric in that model's favor"
)


@dataclass(frozen=True)
class Found:
    """What was found."""

    table: pd.DataFrame
    """As `tabulate` gives it."""

    report: dict[str, Any]
    """What report.json holds."""


def find_suspects(setting: Setting) -> Found:
    """Look for wrong labels, look-alikes across splits, poor items and outliers.

    Raises:
        ParamsError: There are no pooled features, or a class is too small for the folds.
        DataError: The labels do not fit the task.
    """
    parts, params, store = setting.parts, setting.params, setting.parts.store
    held_out = predict_held_out(setting)
    verdicts = judge_labels(store, held_out, params)
    pooled = parts.features.require_pooled(by="the stage `suspects`")
    splits = store.index["split"].map({name: place for place, name in enumerate(SPLITS)})
    near = find_neighbors(
        pooled, splits.to_numpy(np.int64), neighbors=params.neighbors, runtime=setting.runtime
    )
    suspects = [
        *_wrong_labels(store, held_out, verdicts),
        *_look_alikes(store, near, params),
        *_poor(setting),
        *_outliers(near, params),
    ]
    table = tabulate(store.index, suspects, most=params.most)
    found = Found(table, _report(store, held_out, verdicts, suspects))
    log.info(summary(found.report))
    return found


def judge_labels(store: Store, held_out: HeldOut, params: SuspectsParams) -> LabelVerdicts:
    """Judge the labels of a store's index by predictions that did not see them."""
    labels = store.index["label"]
    if held_out.targets.task == "regression":
        values = labels.astype(np.float64).to_numpy()
        return judge_values(values, held_out.served[:, 0], beyond=params.deviation)
    return judge_classes(held_out.targets.encode(labels).numpy(), held_out.served)


def summary(report: dict[str, Any]) -> str:
    """Return one line: how many suspects there are for each reason."""
    counts = report["suspects"]
    named = ", ".join(f"{reason} {sum(splits.values())}" for reason, splits in counts.items())
    of_test = sum(splits.get(TEST, 0) for splits in counts.values())
    return f"suspects among {report['items']} items: {named}; {of_test} of them in the test split"


def _wrong_labels(store: Store, held_out: HeldOut, verdicts: LabelVerdicts) -> list[Suspect]:
    labels, classes = store.index["label"], held_out.targets.classes
    suspects = []
    for row in np.flatnonzero(verdicts.is_suspect_N):
        score = float(verdicts.scores_N[row])
        if classes:
            suggested = classes[verdicts.suggested_N[row]]
            given = classes.index(labels.iloc[row])
            detail = (
                f"p({suggested}) {held_out.served[row, verdicts.suggested_N[row]]:.3f}, "
                f"p({labels.iloc[row]}) {held_out.served[row, given]:.3f}"
            )
        else:
            suggested = f"{float(verdicts.suggested_N[row]):.6g}"
            detail = f"{score:.1f} robust deviations from the prediction"
        suspects.append(Suspect(int(row), "label", score, detail, suggested=suggested))
    return suspects


def _look_alikes(store: Store, near: Neighbors, params: SuspectsParams) -> list[Suspect]:
    """Return each pair once: of two items the one outside the more protected split.

    So protected are splits in the order test, val, train: what may go is what stands in train.
    """
    index = store.index
    pairs: dict[tuple[int, int], float] = {}
    is_alike = (near.twins_N >= 0) & (near.cosines_N >= params.look_alike)
    for place in np.flatnonzero(is_alike):
        both = (int(place), int(near.twins_N[place]))
        pair = min(both, both[::-1], key=lambda rows: SPLITS.index(index["split"].iloc[rows[0]]))
        pairs[pair] = float(near.cosines_N[place])
    suspects, own = [], quality(store.modality)
    for (row, other), cosine in pairs.items():
        twin = index.iloc[other]
        detail = f"cosine {cosine:.3f} with {twin['path']} ({twin['split']}, {twin['label']})"
        if own:
            detail += f"; {own.difference(*store.read(np.array([row, other])))}"
        suspects.append(Suspect(row, "look_alike", cosine, detail, other=other))
    return suspects


def _poor(setting: Setting) -> list[Suspect]:
    store = setting.parts.store
    own = quality(store.modality)
    found = own.poor(store, setting.machine, beyond=setting.params.deviation) if own else ()
    return [
        Suspect(each.row, "low_information", each.score, f"{each.kind}: {each.detail}")
        for each in found
    ]


def _outliers(near: Neighbors, params: SuspectsParams) -> list[Suspect]:
    deviations = robust_deviations(near.distances_N)
    return [
        Suspect(
            int(row),
            "outlier",
            float(near.distances_N[row]),
            f"mean cosine distance {near.distances_N[row]:.3f} to its {params.neighbors} nearest "
            f"items, {deviations[row]:.1f} deviations above the median",
        )
        for row in np.flatnonzero(deviations > params.deviation)
    ]


def _report(
    store: Store, held_out: HeldOut, verdicts: LabelVerdicts, suspects: Sequence[Suspect]
) -> dict[str, Any]:
    """Return report.json: counts of all that was found, listed or not, and the estimated noise."""
    splits = store.index["split"]
    counts: Counter[tuple[str, str]] = Counter(
        (each.reason, splits.iloc[each.row]) for each in suspects
    )
    report: dict[str, Any] = {
        "items": len(store),
        "suspects": {
            reason: {split: counts[reason, split] for split in SPLITS} for reason in REASONS
        },
        "low_information": dict(
            sorted(
                Counter(
                    each.detail.split(":")[0]
                    for each in suspects
                    if each.reason == "low_information"
                ).items()
            )
        ),
        "note": _TEST_NOTE.format(files(store.modality).NOUN[0]),
    }
    labels = store.index["label"]
    if verdicts.noise_KK is None:
        errors = np.abs(held_out.served[:, 0] - labels.astype(np.float64).to_numpy())
        return report | {"out_of_fold": {"mae": round(float(errors.mean()), _DIGITS)}}
    classes = held_out.targets.classes
    right = held_out.served.argmax(axis=1) == held_out.targets.encode(labels).numpy()
    wrong = float(1.0 - np.trace(verdicts.noise_KK))
    return report | {
        "out_of_fold": {"accuracy": round(float(right.mean()), _DIGITS)},
        "noise": {
            "wrong": round(max(0.0, wrong), _DIGITS),
            "given": {
                given: {
                    true: round(float(verdicts.noise_KK[row, column]), _DIGITS)
                    for column, true in enumerate(classes)
                }
                for row, given in enumerate(classes)
            },
        },
    }
