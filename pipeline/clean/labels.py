"""Labels as a whole: spellings that collide, texts that are no numbers, and cells left empty."""

import math
import re
import statistics
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence

import pandas as pd

from pipeline.ground.errors import DataError, ParamsError
from pipeline.ground.params import Task
from pipeline.manifest.manifest import TEXT
from pipeline.modality.types.params import MissingLabel
from pipeline.raw.labels.missing_words import is_placeholder

_NUMBER = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?", re.IGNORECASE | re.ASCII)
_DECIMAL_COMMA = re.compile(r"[+-]?\d+,\d+", re.ASCII)
_WITH_UNIT = re.compile(r"(?P<number>[+-]?[0-9]+(?:\.[0-9]+)?) ?(?:%|°[CF]?|[^\W\d_]{1,6})")
_THOUSANDS = re.compile(r"[+-]?[0-9]{1,3}(?:[.,' ][0-9]{3})+(?:[.,][0-9]+)?")
_NOT_KNOWN = frozenset({-1.0, *(sign * (10.0**n - 1) for sign in (1, -1) for n in range(1, 7))})
"""Numbers that tables hold where a value is not known: -1, and 9, 99, 999 ... with either sign."""

_INVISIBLE = ("Cc", "Cf")
_MANY_CLASSES = 100
"""So many different labels are told from names of items: a class has two items on average."""

_IMBALANCE = 100
"""Ratio of the largest class to the smallest from which there is a warning."""


def check_labels(table: pd.DataFrame, task: Task) -> tuple[pd.Series, list[str]]:
    """Check all labels that there are; give them in the form of the manifest, and warnings.

    Class names stay as they are; numbers take the shortest form that reads back as the same.

    Args:
        table: Columns label (missing where there is none) and where (for error messages).
        task: What the labels must be.

    Raises:
        DataError: Two class names differ only in case, space or invisible marks; a label is a list
            of classes; most labels are different; a number is not a finite one.
    """
    labels, where = table["label"], table["where"]
    if task == "regression":
        numbers = [
            None if pd.isna(text) else repr(parse_number(place, text))
            for text, place in zip(labels, where, strict=True)
        ]
        known = [float(number) for number in numbers if number is not None]
        return pd.Series(numbers, index=table.index, dtype=TEXT), _number_placeholders(known)
    first = {
        text: place
        for text, place in zip(labels[::-1], where[::-1], strict=True)
        if not pd.isna(text)
    }
    counts = Counter(labels.dropna())
    _refuse_names(first, counts)
    _refuse_collisions(first)
    _refuse_lists(first)
    warnings = [*_numeric_twins(first), *_seeming_lists(first), *_placeholders(counts, first)]
    return labels, [*warnings, *_imbalance(counts)]


def parse_number(where: str, text: str) -> float:
    """Read a regression label.

    Raises:
        DataError: It is not a finite decimal number.
    """
    plain = text.strip()
    if _NUMBER.fullmatch(plain) and math.isfinite(number := float(plain)):
        return number
    hint = "leave the cell empty where there is no label"
    if _DECIMAL_COMMA.fullmatch(plain):
        hint = f"write a decimal point: {plain.replace(',', '.')}"
    elif unit := _WITH_UNIT.fullmatch(plain):
        hint = f"write the number alone: {unit['number']}"
    elif _THOUSANDS.fullmatch(plain):
        hint = "write no mark between thousands, and a decimal point"
    raise DataError(where, "the label must be a finite number", got=text, remedy=hint)


def label_key(label: str) -> str:
    """Return what spellings of one label share: without case, outer space and invisible marks."""
    text = unicodedata.normalize("NFC", label)
    visible = "".join(mark for mark in text if unicodedata.category(mark) not in _INVISIBLE)
    return unicodedata.normalize("NFC", visible.strip().casefold())


def fill_labels(table: pd.DataFrame, policy: MissingLabel, task: Task) -> pd.Series:
    """Return a label to rows of the label file that have none, by the policy; to no other row.

    Rows that the policy cannot help stay missing: a file without a row, or `ffill` before the first
    label. `ffill` and `bfill` copy the label of another row, which may lie in another split: right
    where the file is a recording in its order, and an invention elsewhere. `most_frequent` (ties:
    the first by code point), `mean` and `median` look at the labels of the train split alone, so
    that nothing of val or test flows into training.

    Args:
        table: Columns path, label, row (place in the label file, missing for a file without one),
            split (for the rows whose labels count in statistics), is_missing (rows to be filled).
        policy: One that fills, or one that does not: then nothing changes.
        task: `mean` and `median` are for regression.

    Returns:
        The new labels of the filled rows only, in the label file's order.

    Raises:
        DataError: The policy is `error`, or train has no label to learn from.
        ParamsError: The policy is not for this task.
    """
    _refuse_policy(policy, task, table["path"][table["is_missing"]])
    ordered = table[table["row"].notna()].sort_values("row")
    if policy == "ffill":
        filled = ordered["label"].ffill()
    elif policy == "bfill":
        filled = ordered["label"].bfill()
    elif policy in ("most_frequent", "mean", "median") and ordered["is_missing"].any():
        train = table["label"][(table["split"] == "train") & table["label"].notna()]
        filled = ordered["label"].fillna(_typical(list(train), policy))
    else:
        filled = ordered["label"]
    return filled[ordered["is_missing"] & filled.notna()]


def check_policy(policy: MissingLabel, task: Task) -> None:
    """Check that a policy fits the task.

    Raises:
        ParamsError: It does not.
    """
    if policy in ("mean", "median") and task != "regression":
        raise ParamsError(
            "params.yaml",
            "is for task: regression",
            field="clean.missing_label",
            got=policy,
            remedy="write most_frequent, or quarantine",
        )


def _refuse_policy(policy: MissingLabel, task: Task, missing: pd.Series) -> None:
    check_policy(policy, task)
    if policy == "error" and len(missing):
        raise DataError(
            missing.iloc[0],
            f"has no label, as the first of {len(missing)}",
            remedy="label it, or choose another clean.missing_label",
        )


def _typical(labels: Sequence[str], policy: str) -> str:
    if not labels:
        raise DataError(
            "clean.missing_label", "the train split has no label to learn from", got=policy
        )
    if policy == "most_frequent":
        return min(Counter(labels).items(), key=lambda pair: (-pair[1], pair[0]))[0]
    numbers = [float(label) for label in labels]
    is_mean = policy == "mean"
    return repr(math.fsum(numbers) / len(numbers) if is_mean else statistics.median(numbers))


def _refuse_names(first: dict[str, str], counts: Counter[str]) -> None:
    if len(counts) >= _MANY_CLASSES and len(counts) > counts.total() / 2:
        raise DataError(
            next(iter(first.values())),
            f"a class must have some items, and {counts.total()} items have {len(counts)} labels",
            remedy="is data.target the column with the classes? is it task: regression?",
        )


def _placeholders(counts: Counter[str], first: dict[str, str]) -> list[str]:
    return [
        f"the label {label!r} is a class of {counts[label]} items, and reads like 'not known'; "
        f"first: {first[label]} (leave the cell empty where there is no label)"
        for label in sorted(counts)
        if is_placeholder(label)
    ]


def _number_placeholders(numbers: Sequence[float]) -> list[str]:
    """Warn of a number that recurs, reads like "not known", and lies far from the others."""
    counts = Counter(numbers)
    for number in sorted(_NOT_KNOWN & counts.keys()):
        others = [each for each in counts if each != number]
        if counts[number] < 2 or len(others) < 2:
            continue
        low, high = min(others), max(others)
        if max(low - number, number - high) > high - low:
            return [
                f"{counts[number]} items have the label {number:g}, far from all others ({low:g} "
                f"to {high:g}): if it stands for 'not known', leave these cells empty"
            ]
    return []


def _imbalance(counts: Counter[str]) -> list[str]:
    if len(counts) < 2:
        return []
    most, least = (pick(counts.items(), key=lambda pair: pair[::-1]) for pick in (max, min))
    if most[1] < _IMBALANCE * least[1]:
        return []
    return [
        f"the class {most[0]!r} has {most[1]} items, {least[0]!r} has {least[1]}: a model that "
        "never says the rare one looks good; see balanced_accuracy, and loss.class_weights"
    ]


def _refuse_collisions(first: dict[str, str]) -> None:
    spellings = defaultdict(list)
    for label in sorted(first):
        spellings[label_key(label)].append(label)
    same = [labels for labels in spellings.values() if len(labels) > 1]
    if same:
        listed = "; ".join(
            " and ".join(f"{label!a} ({first[label]})" for label in labels) for labels in same[:5]
        )
        raise DataError(
            "labels",
            f"{len(same)} labels are spelled in several ways: {listed}",
            remedy="spell each in one way",
        )


def _refuse_lists(first: dict[str, str]) -> None:
    for label, where in first.items():
        for separator in ("|", ";", ","):
            parts = [part.strip() for part in label.split(separator)]
            if len(parts) > 1 and all(part in first for part in parts):
                raise DataError(
                    where,
                    "an item must have one label, and not several",
                    got=label,
                    remedy="choose one, or make each combination a class under a name of its own",
                )


def _seeming_lists(first: dict[str, str]) -> list[str]:
    for label, where in first.items():
        for separator in ("|", ";", ","):
            parts = [part.strip() for part in label.split(separator)]
            if len(parts) > 1 and any(part in first for part in parts):
                return [
                    f"the label {label!r} ({where}) is a class of its own, and reads like a list "
                    "of several: an item has one label here"
                ]
    return []


def _numeric_twins(labels: Iterable[str]) -> list[str]:
    values = defaultdict(list)
    for label in sorted(labels):
        if _NUMBER.fullmatch(label):
            values[float(label)].append(label)
    return [
        f"the labels {' and '.join(map(repr, twins))} are the same number, and different classes"
        for twins in values.values()
        if len(twins) > 1
    ]
