"""What people decided on single items: `review/<name>.csv`, committed with the code.

    id,decision,by,when,note
    <sha256 of the file>,keep|drop|relabel:<label>,<who>,<date>,<why>

`id` is the manifest's, so a decision follows the bytes through renames, and holds for every copy;
`drop` and `relabel` hold for other files with the same content and label too.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import pandas as pd

from pipeline.ground.errors import DataError
from pipeline.raw.labels.text_table import TextTable, read_text_table

COLUMNS = ("id", "decision", "by", "when", "note")
_RELABEL = "relabel:"


@dataclass(frozen=True)
class Decision:
    """What to do with one item; `label` is set for `relabel` alone."""

    action: Literal["keep", "drop", "relabel"]
    label: str | None
    where: str
    by: str = ""
    when: str = ""
    note: str = ""

    @property
    def text(self) -> str:
        """As it stands in the file."""
        return self.action if self.label is None else f"{_RELABEL}{self.label}"


def review_file(folder: Path, raw: Path) -> Path:
    """Name the file of a data set: after the folder above `raw` (`data/elpv/raw`: `elpv.csv`)."""
    return folder / f"{raw.parent.name or raw.name}.csv"


def read_review(folder: Path, raw: Path) -> dict[str, Decision]:
    """Read the decisions on a data set by item id; none where there is no file.

    Args:
        folder: The folder `review`.
        raw: The data folder, after which the file is named.

    Raises:
        DataError: The file is wrong, or one item has two decisions.
    """
    path = review_file(folder, raw)
    return decisions_of(read_text_table(path, may_be_empty=True)) if path.exists() else {}


def decisions_of(table: TextTable, *, may_be_open: bool = False) -> dict[str, Decision]:
    """Read the decisions of a review file by item id.

    Args:
        table: The file.
        may_be_open: Leave out rows in which nothing is decided yet, instead of refusing them.

    Raises:
        DataError: The file is wrong, or one item has two decisions.
    """
    decisions: dict[str, Decision] = {}
    ids, texts = table.column("id"), table.column("decision")
    by, when, note = (
        table.column(name) if name in table.columns else ("",) * len(ids) for name in COLUMNS[2:]
    )
    for row, (each, text) in enumerate(zip(ids, texts, strict=True)):
        where, key = table.where(row), each.strip().lower()
        if may_be_open and not text.strip():
            continue
        decision = parse_decision(where, text.strip())
        decision = replace(decision, by=by[row], when=when[row], note=note[row])
        earlier = decisions.setdefault(key, decision)
        if (earlier.action, earlier.label) != (decision.action, decision.label):
            raise DataError(
                where,
                f"must not contradict {earlier.where}",
                field="column 'decision'",
                got=text,
                remedy="remove one of the two rows",
            )
    return decisions


def describe_decisions(table: pd.DataFrame, decisions: Mapping[str, Decision]) -> dict[str, Any]:
    """Return what the report says of people's decisions: on how many items, and on which.

    Args:
        table: Columns path, id, label, as they are before the decisions are applied.
        decisions: By id.
    """
    items = [
        (path, None if pd.isna(label) else label, decisions[each])
        for path, each, label in zip(table["path"], table["id"], table["label"], strict=True)
        if each in decisions
    ]
    counts = Counter(decision.action for *_, decision in items)
    return {
        "items": {action: counts[action] for action in ("keep", "drop", "relabel")},
        "decisions": [
            {
                "path": path,
                "label": label,
                "decision": each.text,
                "by": each.by,
                "when": each.when,
                "note": each.note,
            }
            for path, label, each in items
        ],
    }


def parse_decision(where: str, text: str) -> Decision:
    """Read the cell `decision`.

    Args:
        where: Its place, for the error.
        text: Without blanks around it.

    Raises:
        DataError: It is something else than keep, drop or relabel:<label>.
    """
    if text == "keep":
        return Decision("keep", None, where)
    if text == "drop":
        return Decision("drop", None, where)
    label = text.removeprefix(_RELABEL).strip()
    if not text.startswith(_RELABEL) or not label:
        raise DataError(
            where,
            "must be keep, drop or relabel:<label>",
            field="column 'decision'",
            got=text,
            remedy="keep lifts limits of `clean` and near_duplicate_of; relabel settles a conflict"
            if text
            else "write the decision, or delete the row",
        )
    return Decision("relabel", label, where)
