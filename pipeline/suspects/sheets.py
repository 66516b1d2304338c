"""The sheets of suspects: for each reason one, the test split on a sheet of its own."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from pipeline.ground.files import replacing_folder
from pipeline.modality.files import files
from pipeline.modality.shown.showing import show
from pipeline.store.store import Store
from pipeline.suspects.reasons import REASONS
from pipeline.suspects.table import TEST

_SHOWN = 48
_TITLES = {
    "label": "labels to look at again: given > expected",
    "look_alike": "look-alikes in different splits",
    "low_information": "{} that hold little",
    "outlier": "items unlike all others",
}


def draw_sheets(folder: Path, table: pd.DataFrame, store: Store) -> None:
    """Write sheets `<reason>` and `<reason>-test` for every reason, empty ones too.

    Args:
        folder: Replaced.
        table: From `table.tabulate`.
        store: The items.
    """
    _, many = files(store.modality).NOUN
    shown = show(store.modality)
    with replacing_folder(folder) as scratch:
        for reason in REASONS:
            mine = table[table["reason"] == reason]
            is_test = mine["split"] == TEST
            for name, rows in ((reason, mine[~is_test]), (f"{reason}-test", mine[is_test])):
                listed = f" (the first {_SHOWN} of {len(rows)})" if len(rows) > _SHOWN else ""
                where = "test: " if name.endswith("-test") else ""
                shown.write_sheet(
                    scratch / f"{name}{shown.suffix}",
                    [
                        (_drawn(store, each), _caption(store, each))
                        for each in rows[:_SHOWN].to_dict("records")
                    ],
                    title=where + _TITLES[reason].format(many) + listed,
                )


def _drawn(store: Store, suspect: dict[Any, Any]) -> Sequence[Any]:
    rows = [suspect["row"], *([suspect["other"]] if suspect["other"] >= 0 else [])]
    return show(store.modality).draw(store.read(np.array(rows)))


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
