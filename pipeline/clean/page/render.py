"""The cleaning report as one page for people: nothing in it is loaded from anywhere.

Equal results give equal bytes. Its size is bounded, whatever the size of the data set: pictures are
few and small, lists are cut and say so.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from pipeline.clean.page.charts import aspect_bins, find_balance, side_bins
from pipeline.clean.page.pictures import make_previews
from pipeline.clean.page.samples import Showcase, choose
from pipeline.clean.run import Cleaned, Rules
from pipeline.compute.engine import MachineParams
from pipeline.ground.files import write_text
from pipeline.ground.tasks import KINDS
from pipeline.manifest.manifest import KEPT, REASONS
from pipeline.pages.template import render
from pipeline.picture.read.probe import NOTES

_LAYOUTS = {
    "label file": "a label file",
    "class folders": "one folder for each class",
    "picture tables": "Parquet tables with a picture column",
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


@dataclass(frozen=True)
class Sizes:
    """How large the pictures are."""

    only: str
    """Where all have one size: a sentence; else empty."""

    sides: Mapping[str, int]
    shapes: Mapping[str, int]
    told: Sequence[str]


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
        raw: The folder of raw files, for the pictures.
        rules: By which it was cleaned.
        machine: How many processes may decode.
        near: Pairs that look alike, as for `choose`; None where they were not looked for.
    """
    report, manifest = cleaned.report, cleaned.manifest
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
        previews=make_previews(raw, showcase.rows(), rules.clean.limits(), machine),
        checks=_checks(report, showcase, has_near=near is not None),
        balance=find_balance(report["counts"]),
        sizes=_sizes(report, manifest[manifest["status"] == KEPT]),
        reasons=REASONS,
        notes=NOTES,
    )
    write_text(path, page)


def _checks(report: Report, showcase: Showcase, *, has_near: bool) -> list[Check]:
    """Return every kind of finding with its number; those without one are good news."""
    reasons = report["reasons"]
    unfit = sum(n for code, n in reasons.items() if code not in _ELSEWHERE)
    noted = sum(entry["n"] for entry in report["notes"].values())
    filled = len(report["missing_label"]["filled"])
    no_label, conflicts, copies = (
        reasons.get(code, 0) for code in ("no_label", "conflict", "duplicate")
    )
    alike, no_alike = showcase.near_in_all, "no look-alikes" if has_near else None
    decided = len(_decisions(report))
    return [
        Check(len(report["warnings"]), "warning", "warnings", "no warnings", "warnings"),
        Check(unfit, "unfit file", "unfit files", "all files are fit to use", "not-used"),
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
        Check(noted, "note on pictures", "notes on pictures", None, "notes"),
    ]


def _decisions(report: Report) -> Sequence[Mapping[str, Any]]:
    found: Sequence[Mapping[str, Any]] = report.get("review", {}).get("decisions", [])
    return found


def _sizes(report: Report, kept: pd.DataFrame) -> Sizes:
    sizes = report["sizes"]
    width, height = kept["width"].astype("int64"), kept["height"].astype("int64")
    told = [
        f"{name}: " + ", ".join(f"{each} {n:,}" for each, n in _frequent(report[key]))
        for name, key in (("File formats", "formats"), ("Pixel modes", "modes"))
    ]
    if sizes["distinct"] == 1:
        only = f"All pictures have {width.iloc[0]:,} x {height.iloc[0]:,} pixels."
        return Sizes(only, {}, {}, told)
    if sizes["distinct"] > 1:
        told += [
            f"{name.capitalize()} {sizes[name]['min']:,} to {sizes[name]['max']:,} pixels, median "
            f"{sizes[name]['median']:,.0f}"
            for name in ("width", "height")
        ]
    longer = pd.concat([width, height], axis=1).max(axis=1)
    return Sizes("", side_bins(longer), aspect_bins(width, height), told)


def _frequent(counts: Mapping[str, int]) -> Iterable[tuple[str, int]]:
    return sorted(counts.items(), key=lambda entry: (-entry[1], entry[0]))
