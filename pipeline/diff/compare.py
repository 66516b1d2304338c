"""What `rootstock data diff` does: two snapshots, their comparison, its text and its sheet."""

import json
from pathlib import Path
from typing import Any

from pipeline.diff.diff import compare_snapshots
from pipeline.diff.sheet import write_sheet
from pipeline.diff.snapshots import read_current, read_recorded
from pipeline.diff.text import moved_line, render_diff
from pipeline.ground.errors import DataError
from pipeline.ground.params import in_force, load_section, read_params
from pipeline.modality.facts import modality_of
from pipeline.modality.files import files
from pipeline.modality.reading import reader
from pipeline.modality.shown.showing import show
from pipeline.raw.source import read_kept

_PARAMS = "params.yaml"


def compare_data(
    root: Path, revision: str, *, as_json: bool, sheet: Path | None
) -> tuple[str, dict[str, Any]]:
    """Compare a revision's data with the working tree's; return the text to print, and the values.

    Args:
        root: The folder that holds dvc.yaml.
        revision: What git takes for a commit.
        as_json: Return JSON in place of text for people.
        sheet: What changed is drawn there, as a PNG or an SVG by the modality; or None.

    Raises:
        ParamsError: There is no such revision.
        DataError: One side has no manifest.
        MachineError: DVC's cache lacks the revision's manifest.
    """
    old, old_files = read_recorded(root, revision)
    new, raw = read_current(root)
    diff = compare_snapshots(old, new)
    modality = modality_of(new.manifest.columns)
    if sheet is not None:
        sheet = sheet.with_suffix(show(modality).suffix)
        part = reader(modality)
        params = load_section(
            in_force(read_params(root / _PARAMS)), "clean", part.params, path=root / _PARAMS
        )
        write_sheet(
            sheet,
            diff,
            read_old=old_files.read,
            read_new=lambda path: read_kept(raw, path),
            modality=modality,
            look=part.look(params),
        )
    if as_json:
        return json.dumps(diff, indent=2, sort_keys=True, allow_nan=False) + "\n", diff
    drawn = f"\n  {files(modality).NOUN[1]}: {sheet}\n" if sheet is not None else ""
    return render_diff(diff) + drawn, diff


def refuse_moved(diff: dict[str, Any]) -> None:
    """Stop where an item changed its split.

    Raises:
        DataError: One did.
    """
    if diff["moved"]:
        raise DataError(
            "split",
            moved_line(diff),
            remedy="undo it, or train again and compare no figures across it",
        )
