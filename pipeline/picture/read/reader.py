"""The Reader of pictures."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from pipeline.modality.types.probe import Probe
from pipeline.modality.types.protocols import RawFolder
from pipeline.picture import files
from pipeline.picture.read import blocks, carried, decode, deep, exif, probe, spec, thumbnail, tiff
from pipeline.picture.read.carried import CARRIED, PERSONAL
from pipeline.picture.read.near_search import PictureSketches
from pipeline.picture.read.params import PictureCleanParams
from pipeline.picture.read.thumbnail_match import TURNS
from pipeline.picture.sets.other_tasks import refuse_other_tasks
from pipeline.picture.sets.unread import refuse_unread
from pipeline.raw import sniff
from pipeline.store.previous_build import code_digest
from pipeline.store.spill import Piece, Place


class PictureReader:
    """Pictures behind the protocol `Reader`."""

    params = PictureCleanParams
    notes = probe.NOTES
    alarms = probe.ALARMS
    name_notes = frozenset({probe.EXTENSION_NOTE})
    carried = CARRIED
    personal = PERSONAL
    placeholder = "'image not available'"
    resembling = "one camera, forms, X-rays"
    repeated = "a burst, one film"
    turns = TURNS

    def refuse_unread(self, raw: Path, folder: RawFolder, label_file: Path | None) -> None:
        """Refuse a folder without pictures whose files may hold some in a way that is not read.

        Raises:
            DataError: It says what the files are, and what to do.
        """
        refuse_unread(raw, folder, label_file)

    def refuse_other_tasks(self, raw: Path, folder: RawFolder) -> None:
        """Refuse a folder without a label file whose pictures have no label each.

        Raises:
            DataError: It says what the set is, and what to do.
        """
        refuse_other_tasks(raw, folder)

    def code(self) -> str:
        """Return a digest of the code that decides what is seen of a picture."""
        modules = (blocks, carried, decode, deep, exif, files, spec, probe, sniff, thumbnail, tiff)
        return code_digest(*modules, versions=decode.VERSIONS)

    def look(self, params: PictureCleanParams) -> probe.Limits:
        """Return how files are looked at."""
        return probe.Limits(params.max_pixels, params.animated)

    def fault(self, facts: Mapping[Any, Any], params: PictureCleanParams) -> tuple[str, str] | None:
        """Return the reason code and detail of a size that is refused, or None."""
        width, height = facts["width"], facts["height"]
        shorter, longer = sorted((width, height))
        if shorter < params.min_side_px:
            return "too_small", f"{width} x {height} pixels, a side under {params.min_side_px}"
        if longer > params.max_aspect * shorter:
            return "aspect", f"{width} x {height} pixels, sides over {params.max_aspect:g} : 1"
        return None

    def search(self, params: PictureCleanParams) -> dict[str, Any]:
        """Return how near-duplicates are searched for, besides the correlation."""
        return {"turns": params.near_turns}

    def sketches(self, pieces: Sequence[Piece], spill: Place) -> PictureSketches:
        """Measure thumbnails."""
        return PictureSketches.measure(pieces, spill)

    def unread(self, like: Probe | None) -> Probe:
        """Return what a file that was not opened is taken for: as another, and equal to none."""
        facts = like.facts if like else (1, 1, "", "")
        return Probe(facts=facts, sketch=thumbnail.FLAT)  # flat ones are compared with none

    def describe(self, probes: Sequence[Probe]) -> str:
        """Describe good pictures in a few words: formats and sizes."""
        sides = sorted((each.facts[0], each.facts[1]) for each in probes)
        small, middle, large = (
            f"{width} x {height}" for width, height in (sides[0], sides[len(sides) // 2], sides[-1])
        )
        formats = ", ".join(sorted({str(each.facts[3]) for each in probes}))
        if small == large:
            return f"{formats}, all {small} pixels"
        return f"{formats}, {small} to {large} pixels, the middle one {middle}"

    def summary(self, kept: pd.DataFrame) -> dict[str, Any]:
        """Return what the report says of the pictures that are kept, in JSON's types."""
        return {
            "sizes": _sizes(kept),
            "modes": _counts(kept["mode"]),
            "formats": _counts(kept["format"]),
        }


def _counts(values: pd.Series) -> dict[str, int]:
    return {str(value): int(n) for value, n in values.value_counts().sort_index().items()}


def _sizes(kept: pd.DataFrame) -> dict[str, Any]:
    sizes: dict[str, Any] = {}
    for name in ("width", "height"):
        values = kept[name].astype("int64")
        sizes[name] = {
            "min": int(values.min()),
            "median": float(values.median()),
            "max": int(values.max()),
        }
    common = (kept["width"].astype("str") + "x" + kept["height"].astype("str")).value_counts()
    return sizes | {"distinct": len(common)}


READER = PictureReader()
