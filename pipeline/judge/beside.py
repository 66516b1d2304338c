"""The plain model of a modality, judged on the same items as the one that ships.

Axes: N items of the test split, K classes.
"""

from dataclasses import asdict
from typing import Any

import numpy as np

from pipeline.ground.params import Task
from pipeline.judge.metrics import shown
from pipeline.judge.paired import Items, compare
from pipeline.judge.resampling import Bootstrap
from pipeline.judge.tasks import judge_points
from pipeline.modality.baseline import baseline
from pipeline.modality.types.protocols import Known
from pipeline.store.store import Store

_CONFIDENCE = 0.95


def judge_beside(
    store: Store, known: Known, items: Items, served_NK: np.ndarray, bootstrap: Bootstrap
) -> dict[str, Any]:
    """Return `name`, metrics and `gain` of the plain model; empty where the modality has none.

    Args:
        store: Its test split is judged.
        known: What the plain model is fitted to: the train split.
        items: The test split.
        served_NK: What the model that ships answers.
        bootstrap: Behind the intervals of the gains, which are those of the main metrics.
    """
    plain = baseline(store.modality)
    if plain is None:
        return {}
    classes, seed = len(items.classes), bootstrap.seed
    answers_NK = plain.answers(store, known, store.rows("test"), classes=classes, seed=seed)
    task: Task = "classification" if classes else "regression"
    gains = compare(items, served_NK, answers_NK, bootstrap=bootstrap, confidence=_CONFIDENCE)
    return {
        "name": plain.name,
        **judge_points(task, answers_NK, items.targets_N, ece_bins=items.ece_bins),
        "gain": {
            name: {end: asdict(gains[name])[end] for end in ("value", "low", "high")}
            for name in shown(gains, place=1)
            if None not in asdict(gains[name]).values()
        },
    }
