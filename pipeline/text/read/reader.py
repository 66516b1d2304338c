"""The Reader of texts."""

import unicodedata
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from pipeline.modality.types.probe import Probe
from pipeline.modality.types.protocols import RawFolder
from pipeline.store.previous_build import code_digest
from pipeline.store.spill import Piece, Place
from pipeline.text.read import language, marks, personal, plain, probe, shingles
from pipeline.text.read.near_search import TextSketches
from pipeline.text.read.params import TextCleanParams
from pipeline.text.read.personal import CARRIED


class TextReader:
    """Texts behind the protocol `Reader`."""

    params = TextCleanParams
    notes = marks.NOTES
    alarms = marks.ALARMS
    name_notes = frozenset[str]()
    carried = CARRIED
    personal = frozenset(CARRIED)
    placeholder = "'n/a' or 'no comment'"
    resembling = "forms, one question about many things"
    repeated = "edits of one text, quotations"
    turns = ("none",)

    def refuse_unread(self, raw: Path, folder: RawFolder, label_file: Path | None) -> None:
        """Refuse nothing: what holds texts is told by the params."""

    def refuse_other_tasks(self, raw: Path, folder: RawFolder) -> None:
        """Refuse nothing: a text's label stands beside it, or is its folder."""

    def code(self) -> str:
        """Return a digest of the code that decides what is seen of a text."""
        return code_digest(
            language,
            marks,
            personal,
            plain,
            probe,
            shingles,
            versions={"unicode": unicodedata.unidata_version, "numpy": np.__version__},
        )

    def look(self, params: TextCleanParams) -> probe.TextLook:
        """Return how texts are looked at."""
        return probe.TextLook(params.mask_digits)

    def fault(self, facts: Mapping[Any, Any], params: TextCleanParams) -> tuple[str, str] | None:
        """Return the reason code and detail of a length or language that is refused, or None."""
        chars, found = facts["chars"], facts["language"]
        if chars < params.min_chars:
            return "too_short", f"{chars} characters, under {params.min_chars}"
        if chars > params.max_chars:
            return "too_long", f"{chars} characters, over {params.max_chars}"
        wanted = params.language
        if wanted is not None and found not in (*wanted, language.UNSURE):
            return "other_language", f"{found}, and kept are {', '.join(wanted)}"
        return None

    def search(self, params: TextCleanParams) -> dict[str, Any]:
        """Return nothing: the search needs the correlation alone."""
        del params
        return {}

    def sketches(self, pieces: Sequence[Piece], spill: Place) -> TextSketches:
        """Measure sketches."""
        return TextSketches.measure(pieces, spill)

    def unread(self, like: Probe | None) -> Probe:
        """Return what a text that was not opened is taken for: as another, and equal to none."""
        facts = like.facts if like else (1, 1, language.UNSURE)
        return Probe(facts=facts, sketch=shingles.NONE)

    def describe(self, probes: Sequence[Probe]) -> str:
        """Describe good texts in a few words: lengths and languages."""
        chars = sorted(int(each.facts[0] or 0) for each in probes)
        languages = pd.Series([str(each.facts[2]) for each in probes]).value_counts()
        most = sorted(languages.items(), key=lambda each: (-each[1], str(each[0])))[0][0]
        middle = chars[len(chars) // 2]
        return (
            f"{chars[0]:,} to {chars[-1]:,} characters, the middle one {middle:,}; "
            f"language: most often {most}"
        )

    def summary(self, kept: pd.DataFrame) -> dict[str, Any]:
        """Return what the report says of the texts that are kept, in JSON's types."""
        counts = kept["language"].value_counts().sort_index()
        return {
            "lengths": {name: _lengths(kept[name].astype("int64")) for name in ("chars", "words")},
            "languages": {str(value): int(n) for value, n in counts.items()},
        }


def _lengths(values: pd.Series) -> dict[str, Any]:
    return {"min": int(values.min()), "median": float(values.median()), "max": int(values.max())}


READER = TextReader()
