"""What stands for an item and is none: "image not available", a logo, a black frame.

Such items are told of, and stay as the other rules have them: what they are, people know alone.
"""

from collections import Counter
from collections.abc import Collection

import pandas as pd

from pipeline.clean.duplicates import is_repeated
from pipeline.manifest.manifest import KEPT
from pipeline.modality.types.protocols import Reader

_COPIES_UNDER_LABELS = 3
_COPIES = 10
_SHOWN = 5


def doubts(table: pd.DataFrame, reader: Reader) -> list[str]:
    """Describe kept items that may hold nothing, and items that stand often.

    Args:
        table: Columns path, label, content_hash, status, reason, notes; sorted by path.
        reader: Of their modality.
    """
    kept = table.loc[table["status"] == KEPT, ["path", "notes"]]
    return [*_note_lines(kept, reader.alarms, reader), *_repeat_lines(table, reader)]


def causes(table: pd.DataFrame, reader: Reader) -> list[str]:
    """Describe the same of all items, kept or not, and all other notes: why a stage may stop."""
    return [*_note_lines(table, reader.notes, reader), *_repeat_lines(table, reader)]


def _note_lines(table: pd.DataFrame, wanted: Collection[str], reader: Reader) -> list[str]:
    first: dict[str, str] = {}
    counts: Counter[str] = Counter()
    for path, notes in zip(table["path"], table["notes"], strict=True):
        counts.update(notes)
        for note in notes:
            first.setdefault(note, path)
    return [
        f"{note}: {counts[note]} items; {reader.notes[note]}; first: {first[note]!r}"
        for note in sorted(set(wanted) & set(counts))
    ]


def _repeat_lines(table: pd.DataFrame, reader: Reader) -> list[str]:
    """Describe items that stand so often that they may be placeholders.

    One counts with `_COPIES_UNDER_LABELS` copies under several labels, or with `_COPIES` in all.
    """
    is_seen = table["content_hash"].notna() & (table["reason"] != "review")
    seen = table.loc[is_seen, "content_hash"]
    copies = table.loc[seen.index[is_repeated(seen)], ["content_hash", "label", "path"]]
    found = []
    for _, rows in copies.groupby("content_hash", sort=False):
        labels = rows["label"].nunique()
        if len(rows) >= (_COPIES_UNDER_LABELS if labels > 1 else _COPIES):
            found.append((-len(rows), str(rows["path"].iloc[0]), labels))
    lines = [
        f"the same item appears {-count} times, under {labels} label{'s' * (labels != 1)}; "
        f"is it a placeholder, such as {reader.placeholder}? (remove it, or drop it by review); "
        f"first: {path!r}"
        for count, path, labels in sorted(found)[:_SHOWN]
    ]
    rest = len(found) - len(lines)
    return [*lines, f"{rest} more items appear so often"] if rest else lines
