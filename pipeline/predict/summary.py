"""What a prediction came to, counted while it is made."""

import math
from collections import Counter

import pyarrow as pa

_SHOWN = 10


class Summary:
    """Counts of rows: labels, or the range of the values; and the reasons of errors.

    Args:
        many: What rows are called.
    """

    def __init__(self, many: str) -> None:
        self._many = many
        self._files = 0
        self._reasons: Counter[str] = Counter()
        self._labels: Counter[str] = Counter()
        self._notes: Counter[str] = Counter()
        self._lowest, self._highest = math.inf, -math.inf

    def add(self, table: pa.Table) -> None:
        """Count the rows of a table."""
        self._files += table.num_rows
        errors = [text for text in table.column("error").to_pylist() if text is not None]
        self._reasons.update(text.partition(":")[0] for text in errors)
        for text in table.column("note").drop_null().to_pylist():
            self._notes.update(note.partition(":")[0] for note in text.split("; "))
        if "label" in table.column_names:
            self._labels.update(table.column("label").drop_null().to_pylist())
        elif values := table.column("value").drop_null().to_pylist():
            self._lowest = min(self._lowest, *values)
            self._highest = max(self._highest, *values)

    def text(self) -> str:
        """Return one line."""
        n_bad = self._reasons.total()
        parts = [f"{self._files - n_bad} of {self._files} {self._many} predicted"]
        if self._labels:
            parts.append(_counted(self._labels))
        if self._lowest <= self._highest:
            parts.append(f"values from {self._lowest:.6g} to {self._highest:.6g}")
        if n_bad:
            parts.append(f"errors: {_counted(self._reasons)}")
        if self._notes:
            parts.append(f"notes: {_counted(self._notes)}")
        return "; ".join(parts)


def _counted(counts: Counter[str]) -> str:
    ordered = sorted(counts.items(), key=lambda each: (-each[1], each[0]))
    rest = f", {len(ordered) - _SHOWN} more" if len(ordered) > _SHOWN else ""
    return ", ".join(f"{name} {n}" for name, n in ordered[:_SHOWN]) + rest
