"""Examples of each class, right and wrong, as sheets.

Examples are spread evenly from the surest to the least sure: a choice of the surest alone would
flatter the explanations.

Axes: N = items that are explained.
"""

import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

import numpy as np
import pandas as pd

from pipeline.judge.answers import Answers
from pipeline.modality.types.evidence import Example, Part, Sheet, spread_evenly
from pipeline.raw.visible import visible

MOST_CLASSES = 24
"""Classes with a sheet; with more these are the ones with the most wrong answers."""

_NAME_CHARS = 30

E = TypeVar("E", bound=Example)


def choose_examples(
    answers: Answers,
    places_N: np.ndarray,
    count: int,
    make: Callable[[int], E],
    *,
    of_class: str,
    of_values: str,
) -> list[Sheet[E]]:
    """Choose examples of each class, right and wrong; for values the smallest and largest errors.

    Args:
        answers: All answers.
        places_N: Which of them are explained.
        count: Of each part.
        make: Makes an example of the n-th of `places_N`.
        of_class: What a sheet shows, after the name of the class.
        of_values: Likewise, after that of the target.
    """
    if not answers.is_classes:
        errors = np.abs(answers.served[places_N, 0] - answers.targets_N[places_N])
        order = np.argsort(errors, kind="stable")
        ends = (("smallest errors", order[:count]), ("largest errors", order[::-1][:count]))
        parts = [
            Part(name, len(order), "in their order", [make(int(each)) for each in chosen])
            for name, chosen in ends
        ]
        return [Sheet(f"{answers.bundle.target}: {of_values}", parts)]
    sheets = []
    for number in _shown(answers):
        mine = answers.targets_N[places_N] == number
        right = answers.right[places_N]
        parts = []
        for word, mask in (("right", mine & right), ("wrong", mine & ~right)):
            chosen = _spread(answers.confidence[places_N], np.flatnonzero(mask), count)
            examples = [make(int(each)) for each in chosen]
            parts.append(Part(word, int(mask.sum()), "from the surest to the least sure", examples))
        sheets.append(Sheet(f"{visible(answers.bundle.classes[number])}: {of_class}", parts))
    return sheets


def sheet_files(folder: Path, sheets: Sequence[Sheet[E]], suffix: str) -> list[Path]:
    """Return the files of sheets, `sheet-<number>-<title>` and a suffix."""
    return [
        folder / f"sheet-{number:02d}-{_slug(sheet.title) or 'class'}{suffix}"
        for number, sheet in enumerate(sheets, start=1)
    ]


def told(row: pd.Series, *, is_classes: bool) -> str:
    """Return what a row of predictions.parquet answers; of a value, also what is right."""
    if not is_classes:
        return f"{row['label']:.4g}, said {row['value']:.4g}"
    said = f"said {visible(str(row['predicted']))}"
    return f"{short(said)}, {row['confidence']:.2f}"


def short(text: str) -> str:
    """Return a text, or its end where it is too long for a caption."""
    return text if len(text) <= _NAME_CHARS else f"…{text[-_NAME_CHARS + 1 :]}"


def _slug(title: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", title.split(":")[0].lower()).strip("-")[:40]


def _shown(answers: Answers) -> list[int]:
    """Return class numbers in order; where there are too many, those with the most mistakes."""
    wrong = np.bincount(answers.targets_N[~answers.right], minlength=len(answers.bundle.classes))
    worst = np.argsort(-wrong, kind="stable")[:MOST_CLASSES]
    return [int(each) for each in np.sort(worst)]


def _spread(confidence_N: np.ndarray, places: np.ndarray, count: int) -> np.ndarray:
    """Return some of the places, evenly along their confidence, the surest first."""
    ranked = places[np.argsort(-confidence_N[places], kind="stable")]
    return np.asarray(ranked[spread_evenly(len(ranked), count)])
