"""The plots of cleaning: what was quarantined, and how the classes lie in the splits."""

from pathlib import Path

from pipeline.clean.report import balance
from pipeline.clean.run import Cleaned, Rules
from pipeline.ground.files import replacing_folder, write_rows
from pipeline.ground.plots import SHEET_LIMIT, contact_sheet
from pipeline.manifest.manifest import KEPT, QUARANTINED
from pipeline.picture.show.tile import picture_tile, read_item

_TILE_PX = 256


def write_plots(folder: Path, cleaned: Cleaned, *, raw: Path, rules: Rules) -> None:
    """Write the sheet of quarantined pictures, and the table behind the plot of the balance."""
    manifest = cleaned.manifest
    bad = manifest[manifest["status"] == QUARANTINED]
    limits = rules.clean.limits()
    pictures = [
        (
            picture_tile(read_item(raw, path) if is_decoded else None, limits, side_px=_TILE_PX),
            f"{Path(path).name}\n{reason}",
        )
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
