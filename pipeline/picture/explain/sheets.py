"""Examples of pictures, with what the model looked at.

Axes: S = size of a picture.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pipeline.explain import examples
from pipeline.explain.examples import short, told
from pipeline.judge.answers import Answers
from pipeline.modality.types.evidence import Legend, Sheet
from pipeline.pages.sources import inline
from pipeline.picture.explain.drawing import heat_sheet
from pipeline.picture.explain.heat_maps import Look
from pipeline.picture.read.spec import Pixels
from pipeline.picture.show.heat_colors import heat_colors, lay_over
from pipeline.picture.show.preview import encode_jpeg, shrink
from pipeline.raw.visible import visible
from pipeline.store.store import Store

_MAX_BYTES = 480_000
_SIDE_PX = 176
_SHOT_BYTES = 12_000
"""Of a picture on a page."""

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
    words = "from little to much of what spoke for the answer that the model gave"
    return Legend(_jpeg(legend_strip()), words)


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

    def make(number: int) -> Example:
        return _example(answers, found, store, number)

    return examples.choose_examples(
        answers,
        found.places_N,
        count,
        make,
        of_class="where the model looked",
        of_values="heat is what raises the value",
    )


def write_sheets(folder: Path, sheets: Sequence[Shown]) -> None:
    """Write a JPEG for each sheet, below 500 kB."""
    strip = legend_strip()
    for file, sheet in zip(examples.sheet_files(folder, sheets, ".jpg"), sheets, strict=True):
        parts = [
            (
                part.title(),
                [(each.picture, each.hot, f"{each.name}\n{each.told}") for each in part.examples],
            )
            for part in sheet.parts
        ]
        pixels = heat_sheet(parts, title=sheet.title, legend=(strip, _LEGEND))
        file.write_bytes(encode_jpeg(pixels, _MAX_BYTES))


def legend_strip(width_px: int = 256, height_px: int = 16) -> Pixels:
    """Return the colors of heat over middle gray, from cold to hot: uint8 [H, W, 3]."""
    ramp = np.tile(np.linspace(0, 1, width_px, dtype=np.float32), (height_px, 1))
    gray = np.full((height_px, width_px, 3), 110, dtype=np.uint8)
    share = heat_colors(ramp)[:, :, 3:] / 255.0
    colors = gray * (1 - share) + heat_colors(ramp)[:, :, :3] * share
    return np.asarray(colors.round(), dtype=np.uint8)


def _example(answers: Answers, found: Look, store: Store, number: int) -> Example:
    place = int(found.places_N[number])
    picture = store.read(answers.rows_N[[place]])[0].transpose(1, 2, 0)
    row = answers.table.iloc[place]
    return Example(
        picture,
        lay_over(picture, found.heat(number, store.spec.size_px)),
        short(visible(Path(str(row["path"])).name)),
        told(row, is_classes=answers.is_classes),
    )
