"""What cleaning did, in numbers: for people, for `git diff` and for `dvc metrics`."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from pipeline.ground.params import Task
from pipeline.manifest.manifest import KEPT, META, QUARANTINED, SPLITS, STATUSES, class_names
from pipeline.manifest.split import count_splits, far_shares

DETAILED = 200
"""Items that are not kept, and labels that were filled in, described one by one; the manifest, and
`filled.csv` among the plots, have them all."""

_FEW_VALUES = 20
"""A passed-through column with at most so many values is checked for its shares in the splits."""

_BINS = 10


@dataclass(frozen=True)
class Findings:
    """What the table alone does not show."""

    task: Task
    layout: str
    ignored: int
    expected_shares: Mapping[str, float]
    policy: str
    filled: pd.DataFrame
    """Columns path, label: the labels that were filled in."""
    near: Mapping[str, Any]
    """The section on near-duplicates."""
    summary: Mapping[str, Any]
    """What the modality says of the items that are kept: `Reader.summary`."""
    carried: Mapping[str, Any]
    """What items tell of people and places: `carried_section`."""
    warnings: Sequence[str]
    review: Mapping[str, Any]
    """People's decisions, as `describe_decisions` gives them."""
    placed: Sequence[Mapping[str, Any]] = ()
    """Items whose split is not their own, as `place_small_classes` names them."""


def build_report(table: pd.DataFrame, findings: Findings) -> dict[str, Any]:
    """Return the report: counts, classes, shares, fills, warnings; all values in JSON's types.

    Args:
        table: The manifest's columns and detail, notes; sorted by path.
        findings: What else was noticed.
    """
    used = ["path", "label", "split", "group", "notes"]
    used += [name for name in table.columns if name.startswith(META)]
    kept = table.loc[table["status"] == KEPT, used]
    is_classification = findings.task == "classification"
    shares, far = _shares(kept, findings)
    lost = table.loc[table["status"] != KEPT, ["path", "status", "reason", "detail"]]
    return {
        "items": len(table),
        "status": {status: int((table["status"] == status).sum()) for status in STATUSES},
        "bad_frac": round(float((table["status"] == QUARANTINED).mean()), 6),
        "reasons": _counts(table["reason"]),
        "layout": findings.layout,
        "ignored_files": findings.ignored,
        "classes": list(class_names(kept["label"])) if is_classification else [],
        "splits": count_splits(kept["split"]),
        "counts": _nested(balance(kept, findings.task)),
        "shares": shares,
        "expected_shares": {name: round(n, 6) for name, n in findings.expected_shares.items()},
        "not_kept": lost[:DETAILED].to_dict("records"),
        "missing_label": {
            "policy": findings.policy,
            "n": len(findings.filled),
            "filled": findings.filled[:DETAILED].to_dict("records"),
        },
        "near_duplicates": dict(findings.near),
        "review": findings.review,
        "metadata": dict(findings.carried),
        "notes": _notes(kept),
        **findings.summary,
        "warnings": [*findings.warnings, *far, *_absent_classes(kept, is_classification)],
    } | ({"placed": list(findings.placed)} if findings.placed else {})


def balance(kept: pd.DataFrame, task: Task) -> list[dict[str, str | int]]:
    """Count kept items by split and label; numbers in ten bins of equal width.

    Args:
        kept: Columns split and label.
        task: What labels are.
    """
    labels = kept["label"]
    names = class_names(labels)
    if task == "regression":
        numbers = labels.astype("float64")
        if numbers.nunique() > _BINS:
            numbers = pd.cut(numbers, _BINS, precision=3)
        labels = numbers.astype("str")
        names = tuple(map(str, sorted(numbers.unique())))
    counts = Counter(zip(kept["split"], labels, strict=True))
    return [
        {"split": split, "label": label, "n": counts[split, label]}
        for split in SPLITS
        for label in names
    ]


def _counts(values: pd.Series) -> dict[str, int]:
    return {str(value): int(n) for value, n in values.value_counts().sort_index().items()}


def _nested(rows: Sequence[Mapping[str, Any]]) -> dict[str, dict[str, int]]:
    nested: dict[str, dict[str, int]] = {}
    for row in rows:
        nested.setdefault(row["split"], {})[row["label"]] = row["n"]
    return nested


def _shares(kept: pd.DataFrame, findings: Findings) -> tuple[dict[str, Any], list[str]]:
    """Return the share of each split in all parts of the items, and those beyond chance."""
    parts = [("all", "items", kept.index)]
    columns = ["label"] if findings.task == "classification" else []
    columns += [
        name
        for name in kept.columns
        if name.startswith(META) and 2 <= kept[name].nunique() <= _FEW_VALUES
    ]
    for column in columns:
        parts += [
            (column.removeprefix(META), str(value), rows.index)
            for value, rows in kept.groupby(column)
        ]
    shares: dict[str, Any] = {}
    warnings = []
    comparisons = len(parts) * len(SPLITS)
    for column, value, index in parts:
        splits = kept["split"].loc[index]
        shares.setdefault(column, {})[value] = {
            split: round(n / len(splits), 4) for split, n in count_splits(splits).items()
        }
        far = far_shares(
            splits, kept["group"].loc[index], findings.expected_shares, comparisons=comparisons
        )
        of = "" if column == "all" else f" with {column} {value!r}"
        warnings += [
            f"{each.split} has {each.found} of {len(splits)} items{of}, where {each.expected:.1f} "
            f"are expected (z = {each.z:.1f}): chance does not explain it, large groups may"
            for each in far
        ]
    return shares, warnings


def _absent_classes(kept: pd.DataFrame, is_classification: bool) -> list[str]:
    if not is_classification:
        return []
    classes = class_names(kept["label"])
    warnings = []
    for split in SPLITS:
        present = set(kept["label"][kept["split"] == split])
        absent = [label for label in classes if label not in present]
        if absent:
            warnings.append(
                f"{len(absent)} of {len(classes)} classes have no item in {split}; "
                f"first: {absent[0]!r}"
            )
    return warnings


def _notes(kept: pd.DataFrame) -> dict[str, dict[str, Any]]:
    notes: dict[str, dict[str, Any]] = {}
    for path, codes in zip(kept["path"], kept["notes"], strict=True):
        for code in codes:
            entry = notes.setdefault(code, {"n": 0, "first": path})
            entry["n"] += 1
    return dict(sorted(notes.items()))
