"""The cleaning report as one page for people: nothing in it is loaded from anywhere.

Equal results give equal bytes. Its size is bounded, whatever the size of the data set: previews are
few and small, lists are cut and say so.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from pipeline.clean.case import Rules
from pipeline.clean.page.charts import find_balance
from pipeline.clean.page.previews import make_previews
from pipeline.clean.page.samples import Showcase, choose
from pipeline.clean.run import Cleaned
from pipeline.compute.engine import MachineParams
from pipeline.ground.files import write_text
from pipeline.ground.tasks import KINDS
from pipeline.manifest.manifest import KEPT, reasons
from pipeline.modality.facts import facts
from pipeline.modality.reading import reader
from pipeline.modality.shown.reporting import report as report_of
from pipeline.modality.types.protocols import ReportWords
from pipeline.pages.template import render

_LAYOUTS = {
    "label file": "a label file",
    "class folders": "one folder for each class",
    "item tables": "Parquet tables with a picture column",
    "text tables": "tables with a text column",
    "samples": "WebDataset samples, of several files each",
    "split folders": "one folder for each class in each split",
}
_ELSEWHERE = {"duplicate", "near_duplicate_of", "conflict", "review", "no_label"}
"""Reasons that are a finding of their own."""

Report = Mapping[str, Any]


@dataclass(frozen=True)
class Check:
    """A kind of finding, and how often it was found."""

    n: int
    one: str
    many: str
    none: str | None
    """The good news where there is none; None: nothing is said."""

    place: str
    """The section that tells more."""


def write_page(
    path: Path,
    cleaned: Cleaned,
    *,
    raw: Path,
    rules: Rules,
    machine: MachineParams,
    near: pd.DataFrame | None = None,
) -> None:
    """Write the page.

    Args:
        path: The HTML file to write.
        cleaned: What is told.
        raw: The folder of raw files, for the previews.
        rules: By which it was cleaned.
        machine: How many processes may decode.
        near: Pairs that look alike, as for `choose`; None where they were not looked for.
    """
    report, manifest = cleaned.report, cleaned.manifest
    shown = ["label", "split", *facts(cleaned.modality).columns]
    items = report_of(cleaned.modality)
    look = reader(cleaned.modality).look(rules.clean)
    showcase = choose(cleaned.table, rules.task, near)
    page = render(
        "clean/page/report.html",
        name=raw.parent.name or raw.name,
        task=rules.task,
        label=KINDS[rules.task].label,
        layout=_LAYOUTS.get(report["layout"], report["layout"]),
        report=report,
        decisions=_decisions(report),
        showcase=showcase,
        items=items,
        previews=make_previews(items, raw, showcase.rows(), look, machine),
        checks=_checks(report, showcase, items.words, has_near=near is not None),
        balance=find_balance(report["counts"]),
        carried=reader(cleaned.modality).carried,
        kept_items=items.kept(report, manifest.loc[manifest["status"] == KEPT, shown]),
        reasons=reasons(cleaned.modality),
    )
    write_text(path, page)


def _checks(
    report: Report, showcase: Showcase, words: ReportWords, *, has_near: bool
) -> list[Check]:
    """Return every kind of finding with its number; those without one are good news."""
    counts = report["reasons"]
    unfit = sum(n for code, n in counts.items() if code not in _ELSEWHERE)
    noted = sum(entry["n"] for entry in report["notes"].values())
    filled = report["missing_label"]["n"]
    no_label, conflicts, copies = (
        counts.get(code, 0) for code in ("no_label", "conflict", "duplicate")
    )
    alike, no_alike = showcase.near_in_all, "no look-alikes" if has_near else None
    decided = len(_decisions(report))
    return [
        Check(len(report["warnings"]), "warning", "warnings", "no warnings", "warnings"),
        Check(
            unfit,
            f"unfit {words.unit}",
            f"unfit {words.unit}s",
            f"all {words.unit}s are fit to use",
            "not-used",
        ),
        Check(
            no_label,
            "item without a label",
            "items without a label",
            "every item has a label",
            "not-used",
        ),
        Check(
            conflicts, "item in conflict", "items in conflict", "no conflicting labels", "conflicts"
        ),
        Check(copies, "exact duplicate", "exact duplicates", "no exact duplicates", "duplicates"),
        Check(alike, "look-alike pair", "look-alike pairs", no_alike, "near"),
        Check(filled, "label filled in", "labels filled in", None, "fills"),
        Check(decided, "decision of people", "decisions of people", None, "review"),
        Check(
            report["metadata"]["items"],
            f"{words.one} with metadata",
            f"{words.many} with metadata",
            f"no metadata in {words.many}",
            "metadata",
        ),
        Check(noted, f"note on {words.many}", f"notes on {words.many}", None, "notes"),
    ]


def _decisions(report: Report) -> Sequence[Mapping[str, Any]]:
    found: Sequence[Mapping[str, Any]] = report.get("review", {}).get("decisions", [])
    return found
