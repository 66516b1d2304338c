"""The cleaning report as one page for people: nothing in it is loaded from anywhere.

Equal results give equal bytes. Its size is bounded, whatever the size of the data set: pictures are
few and small, lists are cut and say so.
"""

from pathlib import Path

import pandas as pd

from pipeline.clean.page import sections as sections
from pipeline.clean.page.markup import Html, document, style_sheet, tag
from pipeline.clean.page.pictures import make_previews
from pipeline.clean.page.samples import choose
from pipeline.clean.page.style import CSS
from pipeline.clean.run import Cleaned, Rules
from pipeline.compute.engine import MachineParams
from pipeline.ground.files import write_text
from pipeline.manifest.manifest import KEPT

_POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
"""The browser is told to load nothing and to run nothing, should a name ever get through."""


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
    report = cleaned.report
    showcase = choose(cleaned.table, rules.task, near)
    previews = make_previews(raw, showcase.rows(), rules.clean.limits(), machine)
    tiles, whole = sections.headline(report)
    name = raw.parent.name or raw.name
    parts: list[Html | None] = [
        tag("h1", "What cleaning found in ", tag("span", name)),
        tag(
            "p",
            f"A data set for {rules.task}, labeled by "
            f"{_LAYOUTS.get(report['layout'], report['layout'])}.",
            class_="lead",
        ),
        tiles,
        whole,
        sections.checks_strip(report, showcase, has_near=near is not None),
        sections.warnings_section(report),
        sections.balance_section(report, rules.task),
        sections.splits_section(report),
        sections.samples_section(report, showcase, previews),
        sections.pictures_section(report, cleaned.manifest[cleaned.manifest["status"] == KEPT]),
        sections.conflicts_section(showcase, previews),
        sections.duplicates_section(showcase, previews),
        sections.near_section(showcase, previews),
        sections.reasons_section(showcase.reasons, previews),
        sections.fills_section(report),
        sections.review_section(report),
        sections.notes_section(report),
        tag(
            "footer",
            "Every item has its row, with the reason, in ",
            tag("code", "manifest.parquet"),
            "; the numbers are in ",
            tag("code", "report.json"),
            ", both beside this page. Written by the stage ",
            tag("code", "clean"),
            "; equal data give an equal page.",
        ),
    ]
    head = tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("meta", http_equiv="Content-Security-Policy", content=_POLICY),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("meta", name="color-scheme", content="light dark"),
        tag("title", f"Cleaning report: {name}"),
        style_sheet(CSS),
    )
    write_text(path, document("en", head, tag("body", tag("main", *parts))))


_LAYOUTS = {
    "label file": "a label file",
    "class folders": "one folder for each class",
    "picture tables": "Parquet tables with a picture column",
    "samples": "WebDataset samples, of several files each",
    "split folders": "one folder for each class in each split",
}
