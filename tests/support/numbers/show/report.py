"""Lists of numbers in the cleaning report: as they are written."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from pipeline.numbers.read.parse import LIMITS

from pipeline.modality.types.protocols import ReportWords
from pipeline.raw.source import RawFault, read_raw
from pipeline.store.shards import Array


class NumberReport:
    """Lists of numbers behind the protocol `Report`."""

    words = ReportWords(
        "list", "lists", "file", "numbers", "lists with nearly the same numbers", "correlation"
    )
    notes: Mapping[str, str] = {}
    template = "numbers/show/report.html"
    most_work = 1_000
    few_work = 1_000

    def work(self, row: Mapping[str, Any]) -> int | None:
        """Return that any list is little work."""
        del row
        return 1

    def preview(self, raw: Path, path: str, limits: Any) -> str | None:
        """Return the text of a file; None where it is gone."""
        del limits
        try:
            return read_raw(raw, path, LIMITS.bytes).decode("ascii", "replace")[:80]
        except RawFault:
            return None

    def beside(self, value: str, other: str) -> str:
        """Return the preview as it is."""
        del other
        return value

    def tile(self, raw: Path, path: str | None, limits: Any) -> Array:
        """Return a gray square."""
        del raw, path, limits
        return np.full((16, 16, 3), 128, np.uint8)

    def kept(self, report: Mapping[str, Any], table: pd.DataFrame) -> Any:
        """Return the lengths there are."""
        del table
        return report["lengths"]


REPORT = NumberReport()
