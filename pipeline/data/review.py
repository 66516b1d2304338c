"""What people decided on single items: `review/<name>.csv`, committed with the code.

    id,decision,by,when,note
    <sha256 of the file>,keep|drop|relabel:<label>,<who>,<date>,<why>

`id` is the manifest's, so a decision follows the bytes through renames, and holds for every copy.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pipeline.data.texttable import read_text_table
from pipeline.errors import DataError

_RELABEL = "relabel:"


@dataclass(frozen=True)
class Decision:
    """What to do with one item; `label` is set for `relabel` alone."""

    action: Literal["keep", "drop", "relabel"]
    label: str | None
    where: str


def read_review(folder: Path, raw: Path) -> dict[str, Decision]:
    """Read the decisions on a data set by item id; none where there is no file.

    Args:
        folder: The folder `review`.
        raw: The data folder; the file is named after its parent (`data/elpv/raw`: `elpv.csv`).

    Raises:
        DataError: The file is wrong, or one item has two decisions.
    """
    path = folder / f"{raw.parent.name or raw.name}.csv"
    if not path.exists():
        return {}
    table = read_text_table(path, may_be_empty=True)
    decisions: dict[str, Decision] = {}
    ids, texts = table.column("id"), table.column("decision")
    for row, (each, text) in enumerate(zip(ids, texts, strict=True)):
        where, key = table.where(row), each.strip().lower()
        decision = _parse(where, text.strip())
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


def _parse(where: str, text: str) -> Decision:
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
            remedy="keep lifts too_small, aspect and near_duplicate_of; relabel settles a conflict",
        )
    return Decision("relabel", label, where)
