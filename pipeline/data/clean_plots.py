"""The plots of cleaning: what was quarantined, and how the classes lie in the splits."""

import math
from pathlib import Path

import numpy as np

from pipeline.data.clean import Cleaned, Rules
from pipeline.data.decode import open_picture
from pipeline.data.manifest import KEPT, QUARANTINED
from pipeline.data.picture import Pixels, UndecodableImage
from pipeline.data.probe import Limits
from pipeline.data.rawfiles import RawFault, most_bytes, read_raw
from pipeline.data.report import balance
from pipeline.files import replacing_folder, write_rows
from pipeline.plots import SHEET_LIMIT, contact_sheet

_TILE_PX = 256
_GRAY = 190


def write_plots(folder: Path, cleaned: Cleaned, *, raw: Path, rules: Rules) -> None:
    """Write the sheet of quarantined pictures, and the table behind the plot of the balance."""
    manifest = cleaned.manifest
    bad = manifest[manifest["status"] == QUARANTINED]
    limits = rules.clean.limits()
    pictures = [
        (_tile(raw, path, limits) if is_decoded else _gray(), f"{Path(path).name}\n{reason}")
        for path, is_decoded, reason in zip(
            bad["path"][:SHEET_LIMIT], bad["mode"].notna(), bad["reason"], strict=False
        )
    ]
    rest = f", shown are {SHEET_LIMIT}" if len(bad) > SHEET_LIMIT else ""
    with replacing_folder(folder) as scratch:
        contact_sheet(
            scratch / "quarantined.png",
            pictures,
            title=f"{len(bad)} of {len(manifest)} items are quarantined{rest}",
            empty="nothing was quarantined",
        )
        rows = balance(manifest[manifest["status"] == KEPT], rules.task)
        write_rows(scratch / "classes.csv", rows, columns=("split", "label", "n"))


def _gray() -> Pixels:
    """Stand for a file that is no picture, or that nobody may open."""
    return np.full((_TILE_PX, _TILE_PX, 3), _GRAY, dtype=np.uint8)


def _tile(raw: Path, path: str, limits: Limits) -> Pixels:
    """Give every n-th pixel of a picture, so that it is small."""
    try:
        picture = open_picture(
            read_raw(raw, path, most_bytes(limits.max_pixels)),
            background=(0, 0, 0),
            max_pixels=limits.max_pixels,
            animated=limits.animated,
        )
    except (RawFault, UndecodableImage):
        return _gray()  # changed since it was probed
    step = math.ceil(max(picture.width, picture.height) / _TILE_PX)
    return picture.pixels[::step, ::step]
