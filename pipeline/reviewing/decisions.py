"""What people decide while the page is open: written at once, never over another person's word."""

import os
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from pipeline.ground.errors import MachineError
from pipeline.manifest.review import decisions_of, parse_decision
from pipeline.raw.labels.text_table import read_text_table
from pipeline.repo.git import ask_line
from pipeline.reviewing.sheet import Cells, editing


@dataclass(frozen=True)
class Change:
    """What one item's row shall be.

    Attributes:
        item: The id.
        seen: The decision that the person saw when deciding; empty for none.
        cells: The row; None removes it.
    """

    item: str
    seen: str
    cells: Cells | None


class Disagreement(Exception):
    """Somebody else decided otherwise meanwhile; nothing was written.

    Attributes:
        current: The rows as they are now, by id; None for an item without one.
    """

    def __init__(self, current: Mapping[str, Cells | None]) -> None:
        super().__init__("another decision was made meanwhile")
        self.current = current


@dataclass
class Decisions:
    """The review file of a data set, as this process sees and changes it.

    Attributes:
        path: The file.
        by: Who decides here.
        settled: What was decided by way of this object, by id.
    """

    path: Path
    by: str
    settled: dict[str, str] = field(default_factory=dict)

    def version(self) -> str:
        """Return a text that differs after each change of the file."""
        try:
            status = self.path.stat()
        except FileNotFoundError:
            return "none"
        return f"{status.st_ino:x}-{status.st_mtime_ns:x}-{status.st_size:x}"

    def read(self) -> dict[str, dict[str, str]]:
        """Return decision, by, when and note of each item that is decided, by id.

        Raises:
            DataError: The file is wrong, or one item has two decisions.
        """
        if not self.path.exists():
            return {}
        table = read_text_table(self.path, may_be_empty=True)
        return {
            item: {"decision": each.text, "by": each.by, "when": each.when, "note": each.note}
            for item, each in decisions_of(table, may_be_open=True).items()
        }

    def write(self, changes: Sequence[Change]) -> dict[str, Cells | None]:
        """Make changes, all or none; they are on the disk when this returns.

        What somebody else decided alike meanwhile stays theirs.

        Returns:
            The rows as they were before, by id: what takes the changes back.

        Raises:
            Disagreement: An item's decision is another one than was seen.
            DataError: The file is wrong.
            MachineError: It is locked by another process.
        """
        with editing(self.path) as sheet:
            self.read()  # a file that `clean` refuses is mended first
            before = {each.item: sheet.cells(each.item) for each in changes}
            found = {item: decision_in(cells) for item, cells in before.items()}
            wanted = {each.item: decision_in(each.cells) for each in changes}
            if any(found[each.item] not in (each.seen, wanted[each.item]) for each in changes):
                raise Disagreement(before)
            for each in changes:
                if found[each.item] != wanted[each.item] or not wanted[each.item]:
                    sheet.put(each.item, each.cells)
        for item, decision in wanted.items():
            self.settled.pop(item, None)
            if decision:
                self.settled[item] = decision
        return before

    def row(self, decision: str, note: str) -> dict[str, str]:
        """Return the row of a decision that is made now."""
        return {
            "decision": decision,
            "by": self.by,
            "when": time.strftime("%Y-%m-%d"),
            "note": note,
        }

    def summary(self) -> str:
        """Return what was decided, in a few words."""
        counts = Counter(each.split(":")[0] for each in self.settled.values())
        named = ", ".join(f"{action} {counts[action]}" for action in sorted(counts))
        return f"{len(self.settled)} decided" + (f" ({named})" if named else "")


def decision_in(cells: Cells | None) -> str:
    """Return the decision of a row, in the one way to write it; empty where there is none."""
    text = (cells or {}).get("decision", "").strip()
    return parse_decision("review", text).text if text else ""


def reviewer() -> str:
    """Return the name that stands in the column `by`: git's, else that of the user."""
    try:
        name = ask_line(Path(), "config", "user.name")
    except MachineError:
        name = ""
    return name or os.environ.get("USER") or f"user {os.getuid()}"
