"""Pictures in the cleaning report: made small once, put into the page as text."""

import base64
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import pandas as pd

from pipeline.modality.types.protocols import ReportWords
from pipeline.picture.read.probe import NOTES, Limits
from pipeline.picture.read.spec import Pixels
from pipeline.picture.show.preview import encode_jpeg, shrink
from pipeline.picture.show.tile import picture_tile, pixels_of
from pipeline.raw.source import read_kept

_SIDE_PX = 160
_TILE_PX = 256
_MAX_BYTES = 9_000
_SIDES_PX = (16, 32, 64, 96, 128, 192, 256, 384, 512, 768, 1024, 1536, 2048, 3072, 4096, 8192)
_ASPECTS = (0.5, 0.7, 0.95, 1.05, 1.45, 2.0)
_ASPECT_NAMES = (
    "1 : 2 and taller",
    "tall",
    "upright",
    "square",
    "lying",
    "wide",
    "2 : 1 and wider",
)


@dataclass(frozen=True)
class Sizes:
    """How large pictures are, and of which kinds."""

    only: str
    """Where all have one size: a sentence; else empty."""

    sides: Mapping[str, int]
    shapes: Mapping[str, int]
    told: Sequence[str]


class PictureReport:
    """Pictures behind the protocol `Report`."""

    words = ReportWords(
        one="picture",
        many="pictures",
        unit="file",
        content="pixels",
        close="copies saved anew, smaller, darker or with less contrast",
        likeness="correlation",
    )
    notes = NOTES
    template = "picture/show/report.html"
    most_work = 1_000_000_000
    """Pixels, some ten seconds' work."""

    few_work = 50_000_000

    def work(self, row: Mapping[str, Any]) -> int | None:
        """Return the pixels that are decoded for a preview; None where it is no picture."""
        if not row.get("mode"):
            return None
        return int(row.get("width") or 0) * int(row.get("height") or 0)

    def preview(self, raw: Path, path: str, limits: Limits) -> str | None:
        """Return a small picture as an address; None where it is no longer what was probed."""
        pixels = pixels_of(read_kept(raw, path), limits)
        if pixels is None:
            return None
        # A strip of 2 x 4000 pixels shows nothing when it is shrunk as a whole: show its middle.
        longest, shortest = max(pixels.shape[:2]), min(pixels.shape[:2])
        if longest > 8 * shortest:
            start = (longest - 8 * shortest) // 2
            span = slice(start, start + 8 * shortest)
            pixels = pixels[span] if pixels.shape[0] == longest else pixels[:, span]
        encoded = encode_jpeg(shrink(pixels, _SIDE_PX), _MAX_BYTES)
        return f"data:image/jpeg;base64,{base64.b64encode(encoded).decode('ascii')}"

    def beside(self, value: str, other: str) -> str:
        """Return the preview as it is."""
        del other
        return value

    def tile(self, raw: Path, path: str | None, limits: Limits) -> Pixels:
        """Return the tile of an item on a sheet; gray where there is no picture."""
        return picture_tile(read_kept(raw, path) if path else None, limits, side_px=_TILE_PX)

    def kept(self, report: Mapping[str, Any], table: pd.DataFrame) -> Sizes:
        """Return what the template shows of the pictures that are kept."""
        sizes = report["sizes"]
        width, height = table["width"].astype("int64"), table["height"].astype("int64")
        told = [
            f"{name}: " + ", ".join(f"{each} {n:,}" for each, n in _frequent(report[key]))
            for name, key in (("File formats", "formats"), ("Pixel modes", "modes"))
        ]
        if sizes["distinct"] == 1:
            only = f"All pictures have {width.iloc[0]:,} x {height.iloc[0]:,} pixels."
            return Sizes(only, {}, {}, told)
        if sizes["distinct"] > 1:
            told += [
                f"{name.capitalize()} {sizes[name]['min']:,} to {sizes[name]['max']:,} pixels, "
                f"median {sizes[name]['median']:,.0f}"
                for name in ("width", "height")
            ]
        longer = pd.concat([width, height], axis=1).max(axis=1)
        return Sizes("", side_bins(longer), aspect_bins(width, height), told)


def side_bins(longer: pd.Series) -> dict[str, int]:
    """Count pictures by their longer side, pixels, in bins without empty ends."""
    edges = [0, *_SIDES_PX, 1 << 62]
    counts = [int(((longer >= low) & (longer < high)).sum()) for low, high in pairwise(edges)]
    names = [f"< {_SIDES_PX[0]}", *(f"{low}" for low in _SIDES_PX)]
    filled = [place for place, n in enumerate(counts) if n] or [0, -1]
    span = slice(filled[0], filled[-1] + 1)
    return dict(zip(names[span], counts[span], strict=True))


def aspect_bins(width: pd.Series, height: pd.Series) -> dict[str, int]:
    """Count pictures by shape, from tall to wide."""
    aspect = width.astype("float64") / height.astype("float64")
    edges = [0.0, *_ASPECTS, float("inf")]
    counts = [int(((aspect >= low) & (aspect < high)).sum()) for low, high in pairwise(edges)]
    return dict(zip(_ASPECT_NAMES, counts, strict=True))


def _frequent(counts: Mapping[str, int]) -> Iterable[tuple[str, int]]:
    return sorted(counts.items(), key=lambda entry: (-entry[1], entry[0]))


REPORT = PictureReport()
