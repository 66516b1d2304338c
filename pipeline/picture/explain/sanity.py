"""The two checks of `pipeline.explain.checks`, for maps of pictures.

Where a picture is hottest, a blurred copy of it covers it; in comparison, a patch of the same shape
turned by half around the picture's center.

Axes: N = items checked, h, w = size of the map, S = size of a picture.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from scipy import stats
from torch.nn import functional

from pipeline.explain.checks import (
    Fall,
    choose_checked,
    describe_fall,
    describe_sanity,
    shuffled_correlations,
)
from pipeline.judge.answers import Answers, Subject
from pipeline.judge.resampling import Bootstrap
from pipeline.model.bundle import Predictor
from pipeline.picture.explain.gradcam import Maps, evidence
from pipeline.picture.explain.heat_maps import Look
from pipeline.picture.explain.params import PictureExplainParams
from pipeline.picture.read.spec import Pixels

_SHADES = 6
"""Rows and columns of the copy that covers a place, before it is made smooth."""

_EDGES = 32
"""The mask's soft edge is about this part of the side, thrice."""


@dataclass(frozen=True)
class Checks:
    """What the checks found, for each item that was checked.

    Attributes:
        places_N: Which of the maps were checked.
        correlations: By level, the mean rank correlation over the randomizations; NaN where a map
            has no heat before, or none after any of them.
        fall: How far the answer fell with the hottest part covered, and with the patch elsewhere.
    """

    places_N: npt.NDArray[np.int64]
    correlations: dict[str, npt.NDArray[np.float64]]
    fall: Fall


def check_maps(subject: Subject, found: Look, params: PictureExplainParams) -> Checks:
    """Check maps, as evenly as may be of each answer; the first of each by their items' ids.

    Args:
        subject: The model and its answers.
        found: The maps.
        params: How many items, how often, how much is covered.
    """
    answers, predictor = subject.answers, subject.predictor
    places = choose_checked(answers, found.places_N, params.checked)
    mine = found.places_N[places]
    pictures, outputs = subject.store.read(answers.rows_N[mine]), answers.outputs[mine]

    def compare(other: Predictor) -> npt.NDArray[np.float64]:
        return correlate(found.evidence_Nhw[places], evidence(other, pictures, outputs))

    correlations = shuffled_correlations(subject, params, compare)
    fall = _cover(found, places, pictures, predictor, outputs, params.covered_frac)
    return Checks(places, correlations, fall)


def correlate(first_Nhw: Maps, second_Nhw: Maps) -> npt.NDArray[np.float64]:
    """Return Spearman's rank correlation of two maps of each item, [N], as they are seen.

    Evidence against counts as none. NaN where a map is the same all over.
    """
    maps = [np.maximum(each, 0.0).reshape(len(each), -1) for each in (first_Nhw, second_Nhw)]
    ranks = [stats.rankdata(each, axis=1) for each in maps]
    centered = [each - each.mean(axis=1, keepdims=True) for each in ranks]
    norms_N = np.sqrt(np.prod([(each**2).sum(axis=1) for each in centered], axis=0))
    products_N = (centered[0] * centered[1]).sum(axis=1)
    return np.where(norms_N > 0, products_N / np.where(norms_N > 0, norms_N, 1.0), np.nan)


def hottest(heat_SS: Maps, share: float) -> npt.NDArray[np.bool_]:
    """Return the hottest pixels that make up a share of the picture: bool [S, S]."""
    count = max(1, round(share * heat_SS.size))
    order = np.argsort(-heat_SS, axis=None, kind="stable")[:count]
    mask = np.zeros(heat_SS.size, dtype=bool)
    mask[order] = True
    return mask.reshape(heat_SS.shape)


def cover(picture: Pixels, mask_SS: npt.NDArray[np.bool_]) -> Pixels:
    """Return a picture [3, S, S] with a copy of few, smooth shades where the mask is.

    The mask's edge is soft: a hard one would be something new in the picture, which the model may
    judge instead of what is missing.
    """
    values = torch.from_numpy(picture).float()[None]
    few = functional.adaptive_avg_pool2d(values, _SHADES)
    size = picture.shape[-2:]
    smooth = functional.interpolate(few, size=size, mode="bilinear", align_corners=False)
    share = torch.from_numpy(np.ascontiguousarray(mask_SS)).float()[None, None]
    width = 2 * (size[0] // _EDGES) + 1
    for _ in range(3):  # three times a mean of neighbors is nearly a Gaussian
        share = functional.avg_pool2d(share, width, 1, width // 2, count_include_pad=False)
    mixed = values * (1 - share) + smooth * share
    return np.asarray(mixed[0].round().to(torch.uint8).numpy())


def describe_checks(
    answers: Answers,
    found: Look,
    checks: Checks,
    params: PictureExplainParams,
    bootstrap: Bootstrap,
) -> dict[str, Any]:
    """Return what report.json holds of the checks."""
    places = found.places_N[checks.places_N]
    names = ("hottest", "elsewhere")
    covered = {
        "items": len(places),
        "area": params.covered_frac,
        **describe_fall(answers, places, checks.fall, bootstrap, names=names),
    }
    groups = answers.groups_N[places]
    sanity = describe_sanity(checks.correlations, groups, params, bootstrap)
    return {"sanity": sanity, "covered": covered}


def _cover(
    found: Look,
    places: np.ndarray,
    pictures: Pixels,
    predictor: Predictor,
    outputs: np.ndarray,
    share: float,
) -> Fall:
    """Return how far the answers fall with the hottest part covered, and with a patch elsewhere."""
    masks = [hottest(found.heat(place, pictures.shape[-1]), share) for place in places]
    hot = [cover(each, mask) for each, mask in zip(pictures, masks, strict=True)]
    turned = [
        cover(picture, mask[::-1, ::-1]) for picture, mask in zip(pictures, masks, strict=True)
    ]
    rows = np.arange(len(places))
    plain, without, control = (
        predictor.predict(np.stack(list(each)))[rows, outputs] for each in (pictures, hot, turned)
    )
    return Fall(plain - without, plain - control)
