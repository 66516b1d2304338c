"""From suspects to decisions: rows for `review/<name>.csv` in which a person writes what to do.

Nobody decides here. The cells `decision`, `by` and `when` are left empty, and `clean` refuses a
file in which a decision is missing.
"""

import csv
import io
from collections.abc import Hashable, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from pipeline.data.names import safe_line
from pipeline.data.review import COLUMNS, listed_ids, review_file
from pipeline.data.texttable import read_text_table
from pipeline.errors import DataError
from pipeline.files import replacing
from pipeline.suspects.table import TEST
from pipeline.tables import read_table

SUSPECTS = Path("artifacts/suspects/suspects.parquet")


def review_template(
    folder: Path, raw: Path, *, reason: str, first: int, of_test: bool, append: bool
) -> str:
    """Give what a person reads: template rows for the first suspects without a decision.

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
    rows = _undecided(table, listed_ids(file), reason, of_test=of_test)[:first]
    if append and rows:
        _append(file, rows)
        note = f"{len(rows)} rows are in {file}: write each decision, or delete the row.\n"
        return note + (_WARNING if of_test else "")
    if not rows:
        return f"no suspect for this reason is missing from {file}\n"
    return (_WARNING if of_test else "") + ",".join(COLUMNS) + "\n" + _lines(rows, COLUMNS)


_WARNING = (
    "# Test items: decide by the picture alone. Relabeling them as the model advises makes its\n"
    "# own errors right, and every test metric too good.\n"
)


def _undecided(
    table: pd.DataFrame, listed: set[str], reason: str, *, of_test: bool
) -> list[dict[str, str]]:
    mine = table[(table["reason"] == reason) & ((table["split"] == TEST) == of_test)]
    mine = mine[~mine["id"].isin(listed)].drop_duplicates("id")
    return [
        {"id": each["id"], "decision": "", "by": "", "when": "", "note": _note(each)}
        for each in mine.to_dict("records")
    ]


def _note(suspect: dict[Hashable, Any]) -> str:
    """Say what is suspected of which file; in one line, and never a formula."""
    suggested = suspect["suggested"]
    expected = f", expected {suggested!r}" if isinstance(suggested, str) else ""
    text = (f"{suspect['path']}: {suspect['reason']} {suspect['rank']}, labeled "
            f"{suspect['label']!r}{expected}; {suspect['detail']}")  # fmt: skip
    return safe_line(" ".join(text.split()))


def _lines(rows: list[dict[str, str]], columns: Sequence[str]) -> str:
    stream = io.StringIO()
    writer = csv.DictWriter(stream, columns, lineterminator="\n", extrasaction="ignore")
    writer.writerows(rows)
    return stream.getvalue()


def _append(file: Path, rows: list[dict[str, str]]) -> None:
    """Write rows after what is there, in the columns that the file has; other bytes stay."""
    columns: Sequence[str] = COLUMNS
    old = (",".join(COLUMNS) + "\n").encode()
    if file.exists():
        columns, old = read_text_table(file, may_be_empty=True).columns, file.read_bytes()
    gap = b"" if old.endswith(b"\n") else b"\n"
    with replacing(file) as scratch:
        scratch.write_bytes(old + gap + _lines(rows, columns).encode())
