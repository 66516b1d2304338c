"""What people look at of the audit: the curves, the most exposed items as a table and a sheet."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from pipeline.ground import plots
from pipeline.ground.files import replacing_folder, write_rows
from pipeline.membership.rates import Curve
from pipeline.modality.files import files
from pipeline.modality.shown.showing import show
from pipeline.raw.visible import safe_line
from pipeline.store.store import Store

COLUMNS = ("rank", "path", "id", "label", "score", "likelihood", "expected", "as_high")

_SHOWN = 48
_DIGITS = 6


def write_exposed(path: Path, table: pd.DataFrame, store: Store, *, most: int) -> None:
    """Write the most exposed items as CSV, the first `most`.

    `likelihood` is what the model gives the item's own label, `expected` what heads give it that
    did not see the item, `as_high` the share of test items with such a score: small is exposed.
    """
    rows = []
    for rank, each in enumerate(table[:most].to_dict("records"), start=1):
        item = store.index.iloc[int(each["row"])]
        rows.append(
            {
                "rank": rank,
                **{name: safe_line(str(item[name])) for name in ("path", "id", "label")},
                "score": round(each["score"], _DIGITS),
                "likelihood": round(each["own"], _DIGITS),
                "expected": round(each["others"], _DIGITS),
                "as_high": round(each["as_high"], _DIGITS),
            }
        )
    write_rows(path, rows, columns=COLUMNS)


def draw(folder: Path, curves: Mapping[str, Curve], table: pd.DataFrame, store: Store) -> None:
    """Write a CSV for each curve, `roc.png` and the sheet `exposed`.

    Args:
        folder: Replaced.
        curves: By what was audited.
        table: Of the model's members, the most exposed first.
        store: The items.
    """
    with replacing_folder(folder) as scratch:
        for name, curve in curves.items():
            rows = [
                {"fpr": round(float(fpr), _DIGITS), "tpr": round(float(tpr), _DIGITS)}
                for fpr, tpr in zip(curve.false, curve.found, strict=True)
            ]
            write_rows(scratch / f"{name}.csv", rows, columns=["fpr", "tpr"])
        lines = {name: (curve.false, curve.found) for name, curve in curves.items()}
        plots.log_roc_curve(scratch / "roc.png", lines, title="Who was trained on")
        _draw_exposed(scratch, table[:_SHOWN], store)


def _draw_exposed(folder: Path, table: pd.DataFrame, store: Store) -> None:
    _, many = files(store.modality).NOUN
    shown = show(store.modality)
    drawn = shown.draw(store.read(table["row"].to_numpy(np.int64)))
    cells = [
        ([one], _caption(store, each))
        for one, each in zip(drawn, table.to_dict("records"), strict=True)
    ]
    title = f"{many} of train that the model gives away most: likelihood, and expected"
    shown.write_sheet(folder / f"exposed{shown.suffix}", cells, title=title)


def _caption(store: Store, each: Mapping[Any, Any]) -> str:
    item = store.index.iloc[int(each["row"])]
    return f"{Path(item['path']).name}\n{item['label']}\n{each['own']:.3f}, {each['others']:.3f}"
