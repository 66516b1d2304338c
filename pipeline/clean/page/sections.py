"""The sections of the cleaning report; each gives an element, or None where it has nothing."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import pandas as pd

from pipeline.clean.page.charts import aspect_bins, balance_chart, columns_chart, shorten, side_bins
from pipeline.clean.page.markup import Child, Html, tag
from pipeline.clean.page.pictures import Previews, figure, shot
from pipeline.clean.page.samples import Near, Reason, Row, Showcase
from pipeline.manifest.manifest import REASONS, SPLITS
from pipeline.picture.read.probe import NOTES

_WARNINGS = 40
_LISTED = 30
_LONG = 400
_FEW = 2
"""Pictures of a reason that stands beside other reasons."""

_ELSEWHERE = {"conflict": "conflicts", "duplicate": "duplicates", "near_duplicate_of": "near"}
"""Reasons whose items are shown in a section of their own."""

Report = Mapping[str, Any]


def warnings_section(report: Report) -> Html | None:
    """Return the warnings, which come first."""
    warnings: Sequence[str] = report["warnings"]
    if not warnings:
        return None
    shown = [tag("li", shorten(text, _LONG)) for text in warnings[:_WARNINGS]]
    title = "One warning" if len(warnings) == 1 else f"{len(warnings):,} warnings"
    return tag(
        "section",
        tag("h2", title),
        tag("ul", *shown),
        _more(len(warnings), len(shown)),
        class_="warnings",
        id="warnings",
    )


def balance_section(report: Report, task: str) -> Html:
    """Return the classes, or the range of numbers, in each split; and the shares of the splits."""
    title, told = (
        (
            "Classes",
            "Bars are relative to the largest class of the same split: where the splits "
            "are alike, the columns are.",
        )
        if task == "classification"
        else (
            "Values",
            "Labels in bins of equal width; bars are relative to the fullest of the same split.",
        )
    )
    return tag(
        "section",
        tag("h2", title),
        tag("p", told, class_="soft"),
        balance_chart(report["counts"], "class" if task == "classification" else "value"),
        id="classes",
    )


def splits_section(report: Report) -> Html:
    """Return the shares of the splits among all items, and within named columns."""
    shares, expected = report["shares"], report["expected_shares"]
    total = sum(report["splits"].values())
    head = _heads(
        "split", ("items", True), ("share", True), ("expected", True), ("off by, items", True)
    )
    rows = []
    for split, n in report["splits"].items():
        name = tag("td", tag("i", class_=f"dot {split}"), split, class_="nowrap")
        numbers = (
            n,
            f"{n / total:.1%}",
            f"{expected[split]:.1%}",
            f"{n - total * expected[split]:+,.0f}",
        )
        rows.append(tag("tr", name, *map(_n, numbers)))
    columns = {name: values for name, values in shares.items() if name not in ("all", "label")}
    return tag(
        "section",
        tag("h2", "Splits"),
        tag(
            "p",
            "Where splits are drawn, the item's own pixels or its group decide, so shares "
            "are those of chance; what lies beyond chance is among the warnings.",
            class_="soft",
        ),
        tag("div", tag("table", head, *rows), class_="scroll"),
        *(_column_shares(name, values) for name, values in columns.items()),
        id="splits",
    )


def pictures_section(report: Report, kept: pd.DataFrame) -> Html:
    """Return sizes, shapes, formats and modes of what is kept."""
    sizes = report["sizes"]
    width, height = kept["width"].astype("int64"), kept["height"].astype("int64")
    if sizes["distinct"] == 1:
        text = f"All pictures have {width.iloc[0]:,} x {height.iloc[0]:,} pixels."
        charts: Child = tag("p", text)
    else:
        sides, shapes = (
            side_bins(pd.concat([width, height], axis=1).max(axis=1)),
            aspect_bins(width, height),
        )
        charts = tag(
            "div",
            tag(
                "div",
                tag("h3", "Longer side, pixels, from"),
                columns_chart(*sides, "longer side in pixels"),
            ),
            tag("div", tag("h3", "Shape"), columns_chart(*shapes, "shape")),
            class_="two",
        )
    kinds = [
        f"{name}: " + ", ".join(f"{each} {n:,}" for each, n in _frequent(report[key]))
        for name, key in (("File formats", "formats"), ("Pixel modes", "modes"))
    ]
    ranges = [
        f"{name.capitalize()} {sizes[name]['min']:,} to {sizes[name]['max']:,} pixels, median "
        f"{sizes[name]['median']:,.0f}"
        for name in ("width", "height")
    ]
    told = [*kinds, *(ranges if sizes["distinct"] > 1 else [])]
    return tag(
        "section",
        tag("h2", "Pictures"),
        charts,
        *(tag("p", f"{text}.", class_="soft") for text in told),
        id="pictures",
    )


def samples_section(report: Report, showcase: Showcase, previews: Previews) -> Html:
    """Return some of what is kept, class by class."""
    samples = showcase.samples
    rest: Html | None = None
    if all(len(rows) == 1 for rows in samples.values()) or "" in samples:
        named = _value if "" in samples else shorten
        shots = [
            figure(row, previews, named(row["label"])) for rows in samples.values() for row in rows
        ]
        parts = [tag("div", *shots, class_="gallery samples")]
        if len(samples) < len(report["classes"]):
            told = f"one of each of {len(samples)} classes; there are {len(report['classes']):,}"
            rest = tag("p", told, class_="more")
    else:
        parts = []
        for label, rows in samples.items():
            shots = [shot(row, previews) for row in rows]
            parts += [tag("h3", shorten(label)), tag("div", *shots, class_="gallery samples")]
    return tag("section", tag("h2", "A look at what is kept"), *parts, rest, id="samples")


def reasons_section(reasons: Sequence[Reason], previews: Previews) -> Html | None:
    """Return what is not used, by reason, with pictures where there are any."""
    if not reasons:
        return None
    return tag(
        "section",
        tag("h2", "Not used"),
        tag(
            "p",
            "No file was changed or removed. Quarantined is what is broken or "
            "contradicts itself, and counts against ",
            tag("code", "clean.max_bad_frac"),
            "; dropped is what is sound and not needed.",
            class_="soft",
        ),
        tag("div", *(_reason(reason, previews) for reason in reasons), class_="reasons"),
        id="not-used",
    )


def conflicts_section(showcase: Showcase, previews: Previews) -> Html | None:
    """Return items that stand with several labels, side by side."""
    if not showcase.conflicts:
        return None
    groups = [
        tag(
            "div",
            tag(
                "div",
                *(
                    figure(
                        row, previews, tag("span", row.get("label") or "no label", class_="tag bad")
                    )
                    for row in rows
                ),
                class_="side",
            ),
            tag("p", shorten(rows[0].get("detail") or "", _LONG), class_="soft"),
            class_="pair",
        )
        for rows in showcase.conflicts
    ]
    return tag(
        "section",
        tag("h2", "The same picture under different labels"),
        tag(
            "p",
            "Nobody but a person knows which label is right: all of them are set aside until "
            "a decision in the folder review/ settles it.",
            class_="soft",
        ),
        tag("div", *groups, class_="pairs"),
        _more(showcase.conflicts_in_all, len(groups), "groups"),
        id="conflicts",
    )


def duplicates_section(showcase: Showcase, previews: Previews) -> Html | None:
    """Return exact duplicates beside the item that stayed."""
    if not showcase.duplicates:
        return None
    pairs = [
        tag(
            "div",
            tag(
                "div",
                figure(stayed, previews, tag("span", "kept", class_="tag good")),
                figure(gone, previews, tag("span", "dropped", class_="tag warn")),
                class_="side",
            ),
            class_="pair",
        )
        for stayed, gone in showcase.duplicates
    ]
    return tag(
        "section",
        tag("h2", "The same picture again"),
        tag("p", "Equal pixels, equal labels: the first by path stays.", class_="soft"),
        tag("div", *pairs, class_="pairs"),
        _more(showcase.duplicates_in_all, len(pairs), "duplicates"),
        id="duplicates",
    )


def near_section(showcase: Showcase, previews: Previews) -> Html | None:
    """Return pairs of pictures that look alike."""
    if not showcase.near:
        return None
    return tag(
        "section",
        tag("h2", "Pictures that look alike"),
        tag(
            "p",
            "Not equal, but close: copies saved anew, smaller, darker or with less contrast. ",
            tag("code", "clean.near_duplicates"),
            " says whether, of two in different splits, the "
            "one in the less protected split is dropped.",
            class_="soft",
        ),
        tag("div", *(_near_pair(pair, previews) for pair in showcase.near), class_="pairs"),
        _more(showcase.near_in_all, len(showcase.near), "pairs", "near_duplicates.parquet"),
        id="near",
    )


def fills_section(report: Report) -> Html | None:
    """Return labels that were filled in by the policy."""
    filled = report["missing_label"]["filled"]
    if not filled:
        return None
    rows = [
        tag("tr", tag("td", shorten(each["path"])), tag("td", shorten(str(each["label"]))))
        for each in filled[:_LISTED]
    ]
    return tag(
        "section",
        tag("h2", "Labels that were filled in"),
        tag(
            "p",
            "By the policy ",
            tag("code", report["missing_label"]["policy"]),
            ", as ",
            tag("code", "clean.missing_label"),
            " says.",
            class_="soft",
        ),
        tag("div", tag("table", _heads("item", "label given"), *rows), class_="scroll"),
        _more(len(filled), len(rows)),
        id="fills",
    )


def review_section(report: Report) -> Html | None:
    """Return people's decisions that were applied."""
    decisions = report.get("review", {}).get("decisions", [])
    if not decisions:
        return None
    rows = [
        tag(
            "tr",
            tag("td", shorten(each["path"])),
            tag("td", shorten(str(each["label"] or ""), 30)),
            tag("td", tag("code", shorten(each["decision"], 40))),
            tag("td", shorten(each["by"], 40)),
            tag("td", shorten(each["when"], 30), class_="nowrap"),
            tag("td", shorten(each["note"], 160), class_="prose"),
        )
        for each in decisions[:_LISTED]
    ]
    head = _heads("item", "label before", "decision", "by", "when", "note")
    return tag(
        "section",
        tag("h2", "Decided by people"),
        tag("div", tag("table", head, *rows), class_="scroll"),
        _more(len(decisions), len(rows)),
        id="review",
    )


def notes_section(report: Report) -> Html | None:
    """Return what was noted of kept pictures, explained."""
    if not report["notes"]:
        return None
    rows = [
        tag(
            "tr",
            tag("td", tag("code", code)),
            _n(entry["n"]),
            tag("td", _prose(NOTES.get(code, "")), class_="prose"),
            tag("td", shorten(entry["first"]), class_="soft"),
        )
        for code, entry in report["notes"].items()
    ]
    return tag(
        "section",
        tag("h2", "Noted of pictures that are kept"),
        tag(
            "div",
            tag("table", _heads("note", ("items", True), "meaning", "first"), *rows),
            class_="scroll",
        ),
        id="notes",
    )


def headline(report: Report) -> tuple[Html, Html]:
    """Return the four numbers, and one bar of the whole they are parts of."""
    status, total = report["status"], max(1, report["items"])
    colors = {"kept": "good", "dropped": "warn", "quarantined": "bad"}
    tiles = [tag("div", tag("b", report["items"]), tag("span", "items found"), class_="tile")]
    tiles += [
        tag(
            "div",
            tag("b", status[name]),
            tag("span", f"{name}, {status[name] / total:.1%}"),
            class_=f"tile {color if status[name] else ''}".strip(),
        )
        for name, color in colors.items()
    ]
    if report["classes"]:
        tiles.append(
            tag("div", tag("b", len(report["classes"])), tag("span", "classes"), class_="tile")
        )
    parts = [
        tag(
            "i",
            class_=name,
            style=f"width:{100 * status[name] / total:.3f}%",
            title=f"{name} {status[name]:,}",
        )
        for name in colors
        if status[name]
    ]
    return (
        tag("div", *tiles, class_="tiles"),
        tag(
            "div",
            *parts,
            class_="whole",
            role="img",
            aria_label=", ".join(f"{name} {status[name]:,}" for name in colors),
        ),
    )


def checks_strip(report: Report, showcase: Showcase, *, has_near: bool) -> Html:
    """Return every kind of finding with its number; those without one are good news."""
    reasons = report["reasons"]
    apart = {"duplicate", "near_duplicate_of", "conflict", "review", "no_label"}
    unfit = sum(n for code, n in reasons.items() if code not in apart)
    decisions = len(report.get("review", {}).get("decisions", []))
    noted = sum(entry["n"] for entry in report["notes"].values())
    checks: list[tuple[int, str, str, str | None, str]] = [
        (len(report["warnings"]), "warning", "warnings", "no warnings", "warnings"),
        (unfit, "unfit file", "unfit files", "all files are fit to use", "not-used"),
        (
            reasons.get("no_label", 0),
            "item without a label",
            "items without a label",
            "every item has a label",
            "not-used",
        ),
        (
            reasons.get("conflict", 0),
            "item in conflict",
            "items in conflict",
            "no conflicting labels",
            "conflicts",
        ),
        (
            reasons.get("duplicate", 0),
            "exact duplicate",
            "exact duplicates",
            "no exact duplicates",
            "duplicates",
        ),
        (
            showcase.near_in_all,
            "look-alike pair",
            "look-alike pairs",
            "no look-alikes" if has_near else None,
            "near",
        ),
        (
            len(report["missing_label"]["filled"]),
            "label filled in",
            "labels filled in",
            None,
            "fills",
        ),
        (decisions, "decision of people", "decisions of people", None, "review"),
        (noted, "note on pictures", "notes on pictures", None, "notes"),
    ]
    items = [
        tag("li", tag("a", _count(n, one, many), href=f"#{place}"), class_="some")
        if n
        else tag("li", f"✓ {none}")
        for n, one, many, none, place in checks
        if n or none
    ]
    return tag("ul", *items, class_="checks")


def _near_pair(pair: Near, previews: Previews) -> Html:
    sides = [
        figure(
            row,
            previews,
            tag("span", str(row["label"]), class_="tag bad" if pair.has_two_labels else "tag"),
            (
                tag("span", row["split"], class_="tag"),
                tag("span", "dropped", class_="tag warn") if is_dropped else None,
            ),
        )
        for row, is_dropped in zip(pair.sides, pair.is_dropped, strict=True)
    ]
    turn = "" if pair.turn == "none" else f", {pair.turn}"
    return tag(
        "div",
        tag("div", *sides, class_="side"),
        tag(
            "p",
            f"correlation {pair.correlation:.3f}{turn} ",
            tag("span", "across splits", class_="tag warn") if pair.is_across else None,
            " ",
            tag("span", "two labels", class_="tag bad") if pair.has_two_labels else None,
            class_="soft",
        ),
        class_="pair",
    )


def _reason(reason: Reason, previews: Previews) -> Html:
    color = "bad" if reason.status == "quarantined" else "warn"
    figures = [figure(row, previews, _detail(row, previews)) for row in reason.shown]
    place = _ELSEWHERE.get(reason.code)
    return tag(
        "div",
        tag(
            "h3",
            tag("code", reason.code),
            " ",
            tag("span", reason.n, class_=f"tag {color}"),
            f" {reason.status}",
        ),
        tag("p", _prose(REASONS.get(reason.code, "")), class_="soft"),
        tag("p", tag("a", "shown above", href=f"#{place}")) if place else None,
        tag("div", *figures, class_="gallery") if figures else None,
        _more(reason.n, len(figures)) if figures else None,
        class_="wide" if len(figures) > _FEW else None,
    )


def _value(label: str) -> str:
    """Return a number as people write it."""
    return f"{float(label):.5g}"


def _detail(row: Row, previews: Previews) -> str | None:
    """Return what was found, unless the tile itself does."""
    if str(row["path"]) not in previews and not row.get("mode"):
        return None
    return shorten(row.get("detail") or "", 120) or None


def _column_shares(name: str, values: Mapping[str, Mapping[str, float]]) -> Html:
    rows = [
        tag("tr", tag("td", shorten(value)), *(_n(f"{shares[split]:.1%}") for split in SPLITS))
        for value, shares in values.items()
    ]
    head = _heads(shorten(name), *((split, True) for split in SPLITS))
    return tag(
        "details",
        tag("summary", "shares by ", tag("code", shorten(name))),
        tag("div", tag("table", head, *rows), class_="scroll"),
    )


def _frequent(counts: Mapping[str, int]) -> Iterable[tuple[str, int]]:
    return sorted(counts.items(), key=lambda entry: (-entry[1], entry[0]))


def _heads(*names: str | tuple[str, bool]) -> Html:
    pairs = [name if isinstance(name, tuple) else (name, False) for name in names]
    return tag("tr", *(tag("th", name, class_="n" if is_n else None) for name, is_n in pairs))


def _n(value: int | str) -> Html:
    return tag("td", value, class_="n")


def _more(total: int, shown: int, what: str = "", where: str = "manifest.parquet") -> Html | None:
    if total <= shown:
        return None
    named = f" {what}" if what else ""
    return tag("p", f"and {total - shown:,} more{named}, all of them in {where}", class_="more")


def _prose(text: str) -> list[Child]:
    """Make a sentence of a text from the code, in which params stand in backquotes."""
    if not text:
        return []
    parts = f"{text[:1].upper()}{text[1:]}.".split("`")
    return [tag("code", part) if place % 2 else part for place, part in enumerate(parts)]


def _count(n: int, one: str, many: str) -> str:
    return f"{n:,} {one if n == 1 else many}"
