"""Two checks of explanations: do they depend on the weights, and does the model on what they show?

1. Weights are shuffled, of the head alone and of the last stage as well. An explanation that hardly
   changes shows the item, not what the model learned.
2. What matters most in an item is taken away, and as much elsewhere. Only what the model needs
   lowers its answer.

Sources:
    1. Adebayo et al. (2018), "Sanity checks for saliency maps".
    2. Samek et al. (2017), "Evaluating the visualization of what a deep neural network has
       learned".

Axes: N = items checked.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch
from torch import nn

from pipeline.compute.device import torch_generator
from pipeline.judge.answers import Answers, Subject
from pipeline.judge.resampling import Bootstrap, Scores, intervals, weigh
from pipeline.modality.types.params import ExplainParams
from pipeline.model.bundle import Predictor, load_network
from pipeline.model.network import Network

LEVELS = ("head", "top")
"""What is shuffled: the head, or the head and the last stage of the backbone."""

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Fall:
    """How far answers fall, [N] each."""

    most: Floats
    """Without what matters most."""

    elsewhere: Floats
    """Without as much elsewhere."""


def choose_explained(answers: Answers, count: int) -> npt.NDArray[np.int64]:
    """Choose at most so many answers, the first by the ids of their items; return their places."""
    first = np.argsort(answers.index["id"].to_numpy(dtype=str), kind="stable")[:count]
    return np.sort(first).astype(np.int64)


def choose_checked(answers: Answers, places: np.ndarray, count: int) -> npt.NDArray[np.int64]:
    """Choose among explained items, the first by id of each answer, then the second, and so on.

    Args:
        answers: All answers.
        places: Which of them are explained.
        count: At most so many.

    Returns:
        Positions in `places`, ascending.
    """
    table = pd.DataFrame(
        {"id": answers.index["id"].to_numpy(dtype=str)[places], "answer": answers.outputs[places]}
    ).sort_values("id")
    table["turn"] = table.groupby("answer").cumcount()
    first = table.sort_values(["turn", "id"]).index[:count]
    return np.sort(first.to_numpy(dtype=np.int64))


def shuffled_correlations(
    subject: Subject, params: ExplainParams, compare: Callable[[Predictor], Floats]
) -> dict[str, Floats]:
    """Return by level, for each item, the mean correlation over the randomizations.

    Args:
        subject: The model.
        params: How often, and the seed.
        compare: Explains with another predictor, and correlates, [N]; NaN where it cannot be said.
    """
    found = {}
    for level in LEVELS:
        rounds = [
            compare(_shuffled(subject, level, torch_generator("cpu", params.seed, level, number)))
            for number in range(params.randomizations)
        ]
        found[level] = _mean_correlation(rounds)
    return found


def shuffle_weights(tensors: Sequence[nn.Parameter], generator: torch.Generator) -> None:
    """Put the values of each tensor in another order, in place: scales stay, what is known goes."""
    with torch.no_grad():
        for tensor in tensors:
            order = torch.randperm(tensor.numel(), generator=generator)
            tensor.copy_(tensor.flatten()[order].view_as(tensor))


def describe_sanity(
    correlations: Mapping[str, Floats],
    groups_N: np.ndarray,
    params: ExplainParams,
    bootstrap: Bootstrap,
) -> dict[str, Any]:
    """Return what report.json holds of the first check."""
    sanity: dict[str, Any] = {
        "items": len(groups_N),
        "randomizations": params.randomizations,
        "limit": params.max_correlation,
    }
    for level, values_N in correlations.items():
        defined = ~np.isnan(values_N)
        sanity[level] = {"n": int(defined.sum())}
        if defined.any():
            sanity[level] |= mean_with_interval(values_N[defined], groups_N[defined], bootstrap)
    means = [sanity[level]["mean"] for level in LEVELS if "mean" in sanity[level]]
    sanity["maps_depend_on_weights"] = all(mean <= params.max_correlation for mean in means)
    return sanity


def describe_fall(
    answers: Answers,
    places: np.ndarray,
    fall: Fall,
    bootstrap: Bootstrap,
    *,
    names: tuple[str, str],
) -> dict[str, Any]:
    """Return what report.json holds of the second check.

    Args:
        answers: All answers.
        places: Which of them were checked.
        fall: How far these fall.
        bootstrap: The resamples behind intervals.
        names: Of `most` and `elsewhere` in the report.
    """
    groups, difference = answers.groups_N[places], fall.most - fall.elsewhere
    values = dict(zip(names, (fall.most, fall.elsewhere), strict=True))
    found: dict[str, Any] = {
        name: mean_with_interval(each, groups, bootstrap)
        for name, each in {**values, "difference": difference}.items()
    }
    if answers.is_classes:
        outputs = answers.outputs[places]
        found["by_answer"] = {
            label: {
                "n": int(mask.sum()),
                **{name: float(each[mask].mean()) for name, each in values.items()},
            }
            for number, label in enumerate(answers.bundle.classes)
            if (mask := outputs == number).any()
        }
    return found


def mean_with_interval(
    values_N: np.ndarray, groups_N: np.ndarray, bootstrap: Bootstrap
) -> dict[str, float]:
    """Return `mean`, and `low` and `high` of its 95 % interval, from resamples of whole groups."""
    numbers_N = np.unique(groups_N, return_inverse=True)[1].astype(np.int64)

    def scores(weights_RN: np.ndarray) -> Scores:
        return {"mean": weigh(weights_RN, values_N) / weights_RN.sum(axis=1)}

    own = Bootstrap(bootstrap.resamples, bootstrap.seed, numbers_N)
    spread: Mapping[str, float] = intervals(scores, own).get("mean", {})
    return {"mean": float(values_N.mean()), **spread}


def _shuffled(subject: Subject, level: str, generator: torch.Generator) -> Predictor:
    """Load the model again and shuffle it: the one that serves is folded for good."""
    bundle = subject.predictor.bundle
    network = load_network(subject.model, bundle)
    shuffle_weights(_layers(network, level), generator)
    return Predictor(network, bundle, runtime=subject.predictor.runtime)


def _layers(network: Network, level: str) -> list[nn.Parameter]:
    head = [network.head.weight]  # its bias moves no explanation
    return head if level == "head" else [*head, *network.backbone.groups(None)[-1]]


def _mean_correlation(rounds: Sequence[Floats]) -> Floats:
    """Return the mean of those that are defined, [N]."""
    table = np.stack(rounds)
    defined = ~np.isnan(table)
    count_N = defined.sum(axis=0)
    total_N = np.where(defined, table, 0.0).sum(axis=0)
    return np.where(count_N > 0, total_N / np.maximum(count_N, 1), np.nan)
