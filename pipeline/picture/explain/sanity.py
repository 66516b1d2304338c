"""Two checks of the maps themselves: do they depend on the weights, and does the model on them?

1. Weights are shuffled, of the head alone and of the last stage as well. A map that hardly changes
   shows edges of the picture, not what the model learned.
2. Where a picture is hottest, a blurred copy of it covers it; in comparison, a patch of the same
   shape turned by half around the picture's center. Only what the model needs lowers its answer.

Sources:
    1. Adebayo et al. (2018), "Sanity checks for saliency maps".
    2. Samek et al. (2017), "Evaluating the visualization of what a deep neural network has
       learned".

Axes: N = items checked, h, w = size of the map, S = size of a picture.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch
from scipy import stats
from torch import nn
from torch.nn import functional

from pipeline.compute.device import torch_generator
from pipeline.explain.params import ExplainParams
from pipeline.judge.answers import Answers, Subject
from pipeline.judge.resampling import Bootstrap
from pipeline.model.bundle import Predictor, load_network
from pipeline.model.network import Network
from pipeline.picture.explain.gradcam import Maps, evidence
from pipeline.picture.explain.heat_maps import Look, mean_with_interval
from pipeline.picture.read.spec import Pixels

_SHADES = 6
"""Rows and columns of the copy that covers a place, before it is made smooth."""

_EDGES = 32
"""The mask's soft edge is about this part of the side, thrice."""

LEVELS = ("head", "top")
"""What is shuffled: the head, or the head and the last stage of the backbone."""


@dataclass(frozen=True)
class Checks:
    """What the checks found, for each item that was checked.

    Attributes:
        places_N: Which of the maps were checked.
        correlations: By level, the mean rank correlation over the randomizations; NaN where a map
            has no heat before, or none after any of them.
        lost_N: How far the answer fell with the hottest part covered.
        control_N: The same with the patch elsewhere.
    """

    places_N: npt.NDArray[np.int64]
    correlations: dict[str, npt.NDArray[np.float64]]
    lost_N: npt.NDArray[np.float64]
    control_N: npt.NDArray[np.float64]


def check_maps(subject: Subject, found: Look, params: ExplainParams) -> Checks:
    """Check maps, as evenly as may be of each answer; the first of each by their items' ids.

    Args:
        subject: The model and its answers.
        found: The maps.
        params: How many items, how often, how much is covered.
    """
    answers, predictor = subject.answers, subject.predictor
    places = _chosen(answers, found, params.checked)
    mine = found.places_N[places]
    pictures, outputs = subject.store.read(answers.rows_N[mine]), answers.outputs[mine]
    correlations: dict[str, npt.NDArray[np.float64]] = {}
    for level in LEVELS:
        rounds = []
        for number in range(params.randomizations):
            generator = torch_generator("cpu", params.seed, level, number)
            other = evidence(_shuffled(subject, level, generator), pictures, outputs)
            rounds.append(correlate(found.evidence_Nhw[places], other))
        correlations[level] = _mean_correlation(rounds)
    lost, control = _cover(found, places, pictures, predictor, outputs, params.covered_frac)
    return Checks(places, correlations, lost, control)


def shuffle_weights(tensors: Sequence[nn.Parameter], generator: torch.Generator) -> None:
    """Put the values of each tensor in another order, in place: scales stay, what is known goes."""
    with torch.no_grad():
        for tensor in tensors:
            order = torch.randperm(tensor.numel(), generator=generator)
            tensor.copy_(tensor.flatten()[order].view_as(tensor))


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
    answers: Answers, found: Look, checks: Checks, params: ExplainParams, bootstrap: Bootstrap
) -> dict[str, Any]:
    """Return what report.json holds of the checks."""
    groups = answers.groups_N[found.places_N[checks.places_N]]
    sanity: dict[str, Any] = {
        "items": len(checks.places_N),
        "randomizations": params.randomizations,
        "limit": params.max_correlation,
    }
    for level, values_N in checks.correlations.items():
        defined = ~np.isnan(values_N)
        sanity[level] = {"n": int(defined.sum())}
        if defined.any():
            sanity[level] |= mean_with_interval(values_N[defined], groups[defined], bootstrap)
    means = [sanity[level]["mean"] for level in LEVELS if "mean" in sanity[level]]
    sanity["maps_depend_on_weights"] = all(mean <= params.max_correlation for mean in means)
    difference = checks.lost_N - checks.control_N
    covered: dict[str, Any] = {
        "items": len(checks.places_N),
        "area": params.covered_frac,
        "hottest": mean_with_interval(checks.lost_N, groups, bootstrap),
        "elsewhere": mean_with_interval(checks.control_N, groups, bootstrap),
        "difference": mean_with_interval(difference, groups, bootstrap),
    }
    if answers.is_classes:
        covered["by_answer"] = _by_answer(answers, found, checks)
    return {"sanity": sanity, "covered": covered}


def _chosen(answers: Answers, found: Look, count: int) -> npt.NDArray[np.int64]:
    """Choose maps, the first by id of each answer, then the second of each, and so on."""
    table = pd.DataFrame(
        {
            "id": answers.index["id"].to_numpy(dtype=str)[found.places_N],
            "answer": answers.outputs[found.places_N],
        }
    ).sort_values("id")
    table["turn"] = table.groupby("answer").cumcount()
    first = table.sort_values(["turn", "id"]).index[:count]
    return np.sort(first.to_numpy(dtype=np.int64))


def _by_answer(answers: Answers, found: Look, checks: Checks) -> dict[str, Any]:
    """Return, for each class that was answered, items and means with the parts covered."""
    outputs = answers.outputs[found.places_N[checks.places_N]]
    return {
        name: {
            "n": int(mask.sum()),
            "hottest": float(checks.lost_N[mask].mean()),
            "elsewhere": float(checks.control_N[mask].mean()),
        }
        for number, name in enumerate(answers.bundle.classes)
        if (mask := outputs == number).any()
    }


def _shuffled(subject: Subject, level: str, generator: torch.Generator) -> Predictor:
    """Load the model again and shuffle it: the one that serves is folded for good."""
    bundle = subject.predictor.bundle
    network = load_network(subject.model, bundle)
    shuffle_weights(_layers(network, level), generator)
    return Predictor(network, bundle, runtime=subject.predictor.runtime)


def _layers(network: Network, level: str) -> list[nn.Parameter]:
    head = [network.head.weight]  # its bias moves no map
    return head if level == "head" else [*head, *network.backbone.groups(None)[-1]]


def _mean_correlation(rounds: Sequence[npt.NDArray[np.float64]]) -> npt.NDArray[np.float64]:
    """Return the mean of those that are defined, [N]."""
    table = np.stack(rounds)
    defined = ~np.isnan(table)
    count_N = defined.sum(axis=0)
    total_N = np.where(defined, table, 0.0).sum(axis=0)
    return np.where(count_N > 0, total_N / np.maximum(count_N, 1), np.nan)


def _cover(
    found: Look,
    places: np.ndarray,
    pictures: Pixels,
    predictor: Predictor,
    outputs: np.ndarray,
    share: float,
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
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
    return plain - without, plain - control
