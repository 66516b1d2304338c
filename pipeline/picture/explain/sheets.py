"""Examples of each class, right and wrong, with what the model looked at.

Examples are spread evenly from the surest to the least sure: a choice of the surest alone would
flatter the maps.

Axes: N = items with a map, S = size of a picture.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from pipeline.judge.answers import Answers
from pipeline.modality.types.evidence import Legend, Part, Sheet, spread_evenly
from pipeline.pages.sources import inline
from pipeline.picture.explain.drawing import heat_sheet
from pipeline.picture.explain.heat_maps import Look
from pipeline.picture.read.spec import Pixels
from pipeline.picture.show.heat_colors import heat_colors, lay_over
from pipeline.picture.show.preview import encode_jpeg, shrink
from pipeline.raw.visible import visible
from pipeline.store.store import Store

MOST_CLASSES = 24
"""Classes with a sheet; with more these are the ones with the most wrong answers."""

_MAX_BYTES = 480_000
_SIDE_PX = 176
_SHOT_BYTES = 12_000
"""Of a picture on a page."""

_NAME_CHARS = 30
_LEGEND = "heat, from little to most: what spoke for the answer that the model gave (Grad-CAM)"


@dataclass(frozen=True)
class Example:
    """An item with a map, as it is shown."""

    picture: Pixels
    """[S, S, 3]."""

    hot: Pixels
    """The same with heat on it."""

    name: str
    told: str

    def shots(self) -> list[tuple[str, str]]:
        """Return sources of images for a page, and what they show."""
        return [
            (_jpeg(shrink(self.picture, _SIDE_PX)), "as it is"),
            (_jpeg(shrink(self.hot, _SIDE_PX)), "with heat"),
        ]


Shown = Sheet[Example]


def legend() -> Legend:
    """Return what the colors mean."""
    told = "from little to much of what spoke for the answer that the model gave"
    return Legend(_jpeg(legend_strip()), told)


def _jpeg(pixels: Pixels) -> str:
    return inline("image/jpeg", encode_jpeg(pixels, _SHOT_BYTES))


def choose_examples(answers: Answers, found: Look, store: Store, count: int) -> list[Shown]:
    """Choose examples of each class, right and wrong; for values the smallest and largest errors.

    Args:
        answers: All answers.
        found: The maps of some.
        store: The pictures.
        count: Of each part.
    """
    if not answers.is_classes:
        errors = np.abs(answers.served[found.places_N, 0] - answers.targets_N[found.places_N])
        order = np.argsort(errors, kind="stable")
        ends = (("smallest errors", order[:count]), ("largest errors", order[::-1][:count]))
        parts = [
            Part(
                name,
                len(order),
                "in their order",
                [_example(answers, found, store, int(each)) for each in chosen],
            )
            for name, chosen in ends
        ]
        return [Sheet(f"{answers.bundle.target}: heat is what raises the value", parts)]
    return [_class_sheet(answers, found, store, count, number) for number in _shown(answers)]


def write_sheets(folder: Path, sheets: Sequence[Shown]) -> None:
    """Write a JPEG for each sheet, below 500 kB."""
    strip = legend_strip()
    for number, sheet in enumerate(sheets, start=1):
        pixels = heat_sheet(
            [
                (
                    part.title(),
                    [
                        (each.picture, each.hot, f"{each.name}\n{each.told}")
                        for each in part.examples
                    ],
                )
                for part in sheet.parts
            ],
            title=sheet.title,
            legend=(strip, _LEGEND),
        )
        slug = re.sub(r"[^a-z0-9]+", "-", sheet.title.split(":")[0].lower()).strip("-")[:40]
        content = encode_jpeg(pixels, _MAX_BYTES)
        (folder / f"sheet-{number:02d}-{slug or 'class'}.jpg").write_bytes(content)


def legend_strip(width_px: int = 256, height_px: int = 16) -> Pixels:
    """Return the colors of heat over middle gray, from cold to hot: uint8 [H, W, 3]."""
    ramp = np.tile(np.linspace(0, 1, width_px, dtype=np.float32), (height_px, 1))
    gray = np.full((height_px, width_px, 3), 110, dtype=np.uint8)
    share = heat_colors(ramp)[:, :, 3:] / 255.0
    colors = gray * (1 - share) + heat_colors(ramp)[:, :, :3] * share
    return np.asarray(colors.round(), dtype=np.uint8)


def _class_sheet(answers: Answers, found: Look, store: Store, count: int, number: int) -> Shown:
    name = answers.bundle.classes[number]
    mine = answers.targets_N[found.places_N] == number
    right = answers.right[found.places_N]
    parts = []
    for word, mask in (("right", mine & right), ("wrong", mine & ~right)):
        chosen = _spread(answers.confidence[found.places_N], np.flatnonzero(mask), count)
        examples = [_example(answers, found, store, int(each)) for each in chosen]
        parts.append(Part(word, int(mask.sum()), "from the surest to the least sure", examples))
    return Sheet(f"{visible(name)}: where the model looked", parts)


def _shown(answers: Answers) -> list[int]:
    """Return class numbers in order; where there are too many, those with the most mistakes."""
    wrong = np.bincount(answers.targets_N[~answers.right], minlength=len(answers.bundle.classes))
    worst = np.argsort(-wrong, kind="stable")[:MOST_CLASSES]
    return [int(each) for each in np.sort(worst)]


def _spread(confidence_N: np.ndarray, places: np.ndarray, count: int) -> np.ndarray:
    """Return some of the places, evenly along their confidence, the surest first."""
    ranked = places[np.argsort(-confidence_N[places], kind="stable")]
    return np.asarray(ranked[spread_evenly(len(ranked), count)])


def _example(answers: Answers, found: Look, store: Store, number: int) -> Example:
    place = int(found.places_N[number])
    picture = store.read(answers.rows_N[[place]])[0].transpose(1, 2, 0)
    row = answers.table.iloc[place]
    return Example(
        picture,
        lay_over(picture, found.heat(number, store.spec.size_px)),
        _short(visible(Path(str(row["path"])).name)),
        _told(row, is_classes=answers.is_classes),
    )


def _told(row: pd.Series, *, is_classes: bool) -> str:
    if not is_classes:
        return f"{row['label']:.4g}, said {row['value']:.4g}"
    said = f"said {visible(str(row['predicted']))}"
    return f"{_short(said)}, {row['confidence']:.2f}"


def _short(text: str) -> str:
    return text if len(text) <= _NAME_CHARS else f"…{text[-_NAME_CHARS + 1 :]}"
