"""Where the model looked on the test split, and how much of it lies at the pictures' border.

Axes: N = items with a map, h, w = size of the map, S = size of a picture.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from pipeline.compute.engine import MachineParams, progress
from pipeline.explain.checks import choose_explained, mean_with_interval
from pipeline.judge.answers import Answers, Subject
from pipeline.judge.resampling import Bootstrap
from pipeline.picture.explain.gradcam import METHOD, Maps, evidence, heat, layer_name
from pipeline.picture.explain.params import PictureExplainParams

_CHUNK = 32


@dataclass(frozen=True)
class Look:
    """The maps of items, each for the answer that the model gave.

    Attributes:
        places_N: Which of the answers have a map, ascending.
        evidence_Nhw: Signed.
        border_N: Share of the heat that lies in the border; NaN where there is no heat.
        border_area: Share of the area that the border takes.
        layer: Which layer was looked at.
        views: Over how many views a map is averaged.
    """

    places_N: npt.NDArray[np.int64]
    evidence_Nhw: Maps
    border_N: npt.NDArray[np.float64]
    border_area: float
    layer: str
    views: int

    def heat(self, number: int, size_px: int) -> Maps:
        """Return the heat of the n-th item with a map, [S, S]."""
        return np.asarray(heat(self.evidence_Nhw[number : number + 1], size_px)[0])


def look(subject: Subject, params: PictureExplainParams, machine: MachineParams) -> Look:
    """Make the maps of the test items, or of the first by their ids where there are too many."""
    answers, store, predictor = subject.answers, subject.store, subject.predictor
    places = choose_explained(answers, params.items)
    maps, border = [], []
    is_border = border_mask(store.spec.size_px, params.border_frac)
    starts = range(0, len(places), _CHUNK)
    for start in progress(starts, machine, total=len(starts), title="explain", unit="batches"):
        part = places[start : start + _CHUNK]
        pictures = store.read(answers.rows_N[part])
        maps.append(evidence(predictor, pictures, answers.outputs[part]))
        border.append(share_in(heat(maps[-1], store.spec.size_px), is_border))
    found = np.concatenate(maps)
    return Look(
        places,
        found,
        np.concatenate(border),
        float(is_border.mean()),
        layer_name(predictor, found),
        len(predictor.bundle.views),
    )


def border_mask(size_px: int, border_frac: float) -> npt.NDArray[np.bool_]:
    """Return the outer border of a square picture, at least a pixel wide: bool [S, S]."""
    width = max(1, round(border_frac * size_px))
    mask = np.ones((size_px, size_px), dtype=bool)
    mask[width : size_px - width, width : size_px - width] = False
    return mask


def share_in(heat_NSS: Maps, mask_SS: npt.NDArray[np.bool_]) -> npt.NDArray[np.float64]:
    """Return the share of each map's heat within a mask, [N]; NaN where there is no heat."""
    exact = heat_NSS.astype(np.float64)
    whole_N = exact.sum(axis=(1, 2))
    inside_N = (exact * mask_SS).sum(axis=(1, 2))
    return np.where(whole_N > 0, inside_N / np.where(whole_N > 0, whole_N, 1.0), np.nan)


def describe_look(answers: Answers, found: Look, bootstrap: Bootstrap) -> dict[str, Any]:
    """Return what report.json holds of the maps: the share of heat in the border, and whose.

    `density` is the share of the heat over the share of the area: 1 is what a map without any
    preference has, below 1 the model looks at the inside.
    """
    has_heat = ~np.isnan(found.border_N)
    places = found.places_N[has_heat]
    share_N = found.border_N[has_heat]
    border: dict[str, Any] = {"area": found.border_area}
    if len(share_N):
        border["heat"] = mean_with_interval(share_N, answers.groups_N[places], bootstrap)
        border["density"] = border["heat"]["mean"] / found.border_area
    if len(share_N) and answers.is_classes:
        border["by_answer"] = _by_answer(answers, places, share_N)
    return {
        "method": METHOD,
        "layer": found.layer,
        "views": found.views,
        "items": len(found.places_N),
        "without_heat": int((~has_heat).sum()),
        "border": border,
    }


def _by_answer(answers: Answers, places: np.ndarray, share_N: np.ndarray) -> dict[str, Any]:
    """Return items and mean share for each class that was answered, right and wrong apart."""
    outputs, right = answers.outputs[places], answers.right[places]
    table: dict[str, Any] = {}
    for number, name in enumerate(answers.bundle.classes):
        parts = {"right": (outputs == number) & right, "wrong": (outputs == number) & ~right}
        told = {
            key: {"n": int(mask.sum()), "heat": float(share_N[mask].mean())}
            for key, mask in parts.items()
            if mask.any()
        }
        if told:
            table[name] = told
    return table
