"""The picture sheets of suspects: for each reason one, the test split on a sheet of its own."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from pipeline.ground.files import replacing_folder
from pipeline.ground.plots import contact_sheet
from pipeline.picture.read.spec import Pixels
from pipeline.store.store import Store
from pipeline.suspects.reasons import REASONS
from pipeline.suspects.table import TEST

_SHOWN = 48
_GAP_PX = 4
_TITLES = {
    "label": "labels to look at again: given > expected",
    "look_alike": "look-alikes in different splits",
    "low_information": "pictures that hold little",
    "outlier": "items unlike all others",
}


def draw_sheets(folder: Path, table: pd.DataFrame, store: Store) -> None:
    """Write `<reason>.png` and `<reason>-test.png` for every reason, empty ones too.

    Args:
        folder: Replaced.
        table: From `table.tabulate`.
        store: The pictures.
    """
    with replacing_folder(folder) as scratch:
        for reason in REASONS:
            mine = table[table["reason"] == reason]
            is_test = mine["split"] == TEST
            for name, rows in ((reason, mine[~is_test]), (f"{reason}-test", mine[is_test])):
                listed = f" (the first {_SHOWN} of {len(rows)})" if len(rows) > _SHOWN else ""
                where = "test: " if name.endswith("-test") else ""
                contact_sheet(
                    scratch / f"{name}.png",
                    [
                        (_picture(store, each), _caption(store, each))
                        for each in rows[:_SHOWN].to_dict("records")
                    ],
                    title=f"{where}{_TITLES[reason]}{listed}",
                )


def _picture(store: Store, suspect: dict[Any, Any]) -> Pixels:
    picture = _read(store, suspect["row"])
    if suspect["other"] < 0:
        return picture
    gap = np.full((len(picture), _GAP_PX, 3), 255, dtype=np.uint8)
    return np.concatenate([picture, gap, _read(store, suspect["other"])], axis=1)


def _read(store: Store, row: int) -> Pixels:
    pixels: Pixels = store.read(np.array([row]))[0].transpose(1, 2, 0)
    return pixels


def _caption(store: Store, suspect: dict[Any, Any]) -> str:
    name, label = Path(suspect["path"]).name, suspect["label"]
    if suspect["reason"] == "label":
        return f"{name}\n{label} > {suspect['suggested']}\n{suspect['score']:.3f}"
    if suspect["reason"] == "look_alike":
        other = Path(store.index["path"].iloc[suspect["other"]]).name
        return f"{name}\n{other}\ncosine {suspect['score']:.3f}"
    if suspect["reason"] == "low_information":
        return f"{name}\n{label}\n{suspect['detail'].split(':')[0]}"
    return f"{name}\n{label}\ndistance {suspect['score']:.3f}"
