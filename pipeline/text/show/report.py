"""Texts in the cleaning report: their beginnings, put into the page as text."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from pipeline.manifest.manifest import SPLITS
from pipeline.modality.types.protocols import ReportWords
from pipeline.raw.source import read_kept
from pipeline.text.read.language import UNSURE
from pipeline.text.read.marks import NOTES
from pipeline.text.read.probe import TextLook
from pipeline.text.show.difference import Piece, pieces
from pipeline.text.show.tile import text_of

_SHOWN_CHARS = 600
_CLASSES = 20
"""With a row each in the table of lengths, the largest."""

_LANGUAGES = 12
_CHARS = (10, 20, 50, 100, 200, 500, 1_000, 2_000, 5_000, 10_000, 100_000)
_WORDS = (2, 5, 10, 20, 50, 100, 200, 500, 1_000, 2_000, 10_000)


@dataclass(frozen=True)
class Lengths:
    """How long the texts of a class or split are."""

    name: str
    numbers: Sequence[int]
    """Texts; shortest, median, 95th percentile and longest, in characters."""


@dataclass(frozen=True)
class Texts:
    """How long texts are, and of which languages."""

    chars: Mapping[str, int]
    words: Mapping[str, int]
    told: Sequence[str]
    lengths: Sequence[Lengths]


class TextReport:
    """Texts behind the protocol `Report`."""

    words = ReportWords(
        one="text",
        many="texts",
        unit="text",
        content="words",
        close="what differs is marked",
        likeness="share of common pieces",
    )
    notes = NOTES
    template = "text/show/report.html"
    most_work = 20_000_000
    """Characters."""

    few_work = 20_000_000

    def work(self, row: Mapping[str, Any]) -> int | None:
        """Return the characters that are read for a preview; None where it is no text."""
        chars = row.get("chars")
        return None if chars is None else int(chars)

    def preview(self, raw: Path, path: str, limits: TextLook) -> str | None:
        """Return the beginning of a text; None where it is no longer what was probed."""
        del limits
        text = text_of(read_kept(raw, path))
        if text is None:
            return None
        shown = text.strip()
        return shown if len(shown) <= _SHOWN_CHARS else f"{shown[:_SHOWN_CHARS]}…"

    def beside(self, value: str, other: str) -> Sequence[Piece]:
        """Return a preview in pieces, those being marked that the other one lacks."""
        return pieces(value, other)

    def tile(self, raw: Path, path: str | None, limits: TextLook) -> str | None:
        """Return a text; None where there is none."""
        del limits
        return text_of(read_kept(raw, path) if path else None)

    def kept(self, report: Mapping[str, Any], table: pd.DataFrame) -> Texts:
        """Return what the template shows of the texts that are kept."""
        chars = table["chars"].astype("int64")
        return Texts(
            bins(chars, _CHARS),
            bins(table["words"].astype("int64"), _WORDS),
            [_languages(report["languages"])],
            list(_lengths(table.assign(chars=chars), report["classes"])),
        )


def bins(values: pd.Series, edges: Sequence[int]) -> dict[str, int]:
    """Count values in bins without empty ends, by where each begins."""
    every = [0, *edges, 1 << 62]
    counts = [int(((values >= low) & (values < high)).sum()) for low, high in pairwise(every)]
    names = [f"< {edges[0]}", *(f"{low}" for low in edges)]
    filled = [place for place, n in enumerate(counts) if n] or [0]
    span = slice(filled[0], filled[-1] + 1)
    return dict(zip(names[span], counts[span], strict=True))


def _languages(counts: Mapping[str, int]) -> str:
    total = sum(counts.values())
    order = sorted(counts.items(), key=lambda each: (each[0] == UNSURE, -each[1], each[0]))
    shown, rest = order[:_LANGUAGES], order[_LANGUAGES:]
    parts = [
        f"{'not sure' if name == UNSURE else name} {n:,} ({n / total:.1%})" for name, n in shown
    ]
    others = sum(n for _, n in rest)
    return "Languages: " + ", ".join([*parts, *([f"others {others:,}"] if others else [])])


def _lengths(table: pd.DataFrame, classes: Sequence[str]) -> Iterator[Lengths]:
    yield _measure("all", table)
    for split in SPLITS:
        yield _measure(split, table[table["split"] == split])
    if classes:
        sizes = table["label"].value_counts()
        largest = sorted(sizes.index, key=lambda label: (-sizes[label], label))[:_CLASSES]
        for label in largest:
            yield _measure(str(label), table[table["label"] == label])


def _measure(name: str, table: pd.DataFrame) -> Lengths:
    values = np.sort(table["chars"].to_numpy())
    places = (0, (len(values) - 1) // 2, (len(values) - 1) * 19 // 20, len(values) - 1)
    return Lengths(name, (len(values), *(int(values[place]) for place in places)))


REPORT = TextReport()
