"""From suspects to decisions: rows for `review/<name>.csv` in which a person writes what to do.

Nobody decides here. The cells `decision`, `by` and `when` are left empty, and `clean` refuses a
file in which a decision is missing.
"""

import csv
import io
from collections.abc import Hashable, Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from pipeline.ground.errors import DataError
from pipeline.ground.tables import read_table
from pipeline.manifest.review import COLUMNS, review_file
from pipeline.raw.visible import safe_line
from pipeline.reviewing.sheet import Sheet, editing
from pipeline.suspects.table import TEST

SUSPECTS = Path("artifacts/suspects/suspects.parquet")


def review_template(
    folder: Path, raw: Path, *, reason: str, first: int, of_test: bool, append: bool
) -> str:
    """Return what a person reads: template rows for the first suspects without a decision.

    Args:
        folder: The folder `review`.
        raw: The data folder, after which the file is named.
        reason: Of the suspects.
        first: Rows at most; an item with several suspicious copies has one.
        of_test: Those of the test split, in place of all others.
        append: Write the rows to the end of the file, too.

    Raises:
        DataError: The stage `suspects` has not run, or the file is wrong.
    """
    if not SUSPECTS.exists():
        raise DataError(SUSPECTS, "no such file", remedy="run `dvc repro suspects/dvc.yaml`")
    table = read_table(SUSPECTS)
    file = review_file(folder, raw)
    if not append:
        rows = _undecided(table, Sheet(file).ids, reason, of_test=of_test)[:first]
        text = ",".join(COLUMNS) + "\n" + _lines(rows)
    else:
        with editing(file) as sheet:
            rows = _undecided(table, sheet.ids, reason, of_test=of_test)[:first]
            for row in rows:
                sheet.put(row["id"], row)
        text = f"{len(rows)} rows are in {file}: write each decision, or delete the row.\n"
    if not rows:
        return f"no suspect for this reason is missing from {file}\n"
    note = _WARNING if of_test else ""
    return text + note if append else note + text


_WARNING = (
    "# Test items: decide by the item alone. Relabeling them as the model advises makes its\n"
    "# own errors right, and every test metric too good.\n"
)


def _undecided(
    table: pd.DataFrame, listed: set[str], reason: str, *, of_test: bool
) -> list[dict[str, str]]:
    mine = table[(table["reason"] == reason) & ((table["split"] == TEST) == of_test)]
    mine = mine[~mine["id"].isin(listed)].drop_duplicates("id")
    return [
        {"id": each["id"], "decision": "", "by": "", "when": "", "note": suspect_note(each)}
        for each in mine.to_dict("records")
    ]


def suspect_note(suspect: Mapping[Hashable, Any]) -> str:
    """Return what is suspected of which file; in one line, and never a formula."""
    suggested = suspect["suggested"]
    expected = f", expected {suggested!r}" if isinstance(suggested, str) else ""
    return note_line(
        f"{suspect['path']}: {suspect['reason']} {suspect['rank']}, labeled "
        f"{suspect['label']!r}{expected}; {suspect['detail']}"
    )


def note_line(text: str) -> str:
    """Return a note in one line, and never a formula."""
    return safe_line(" ".join(text.split()))


def _lines(rows: list[dict[str, str]]) -> str:
    stream = io.StringIO()
    csv.DictWriter(stream, COLUMNS, lineterminator="\n").writerows(rows)
    return stream.getvalue()
