"""What a training starts from: the linear probe on cached features, as the head.

Source: linear probing, then fine-tuning (LP-FT), Kumar et al. (2022).

Axes: N = items of a split.
"""

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from pipeline.ground.seeds import deal, pick
from pipeline.manifest.manifest import group_names
from pipeline.model.head import Head
from pipeline.train.best_epoch import copy_state
from pipeline.train.examples import Split
from pipeline.train.inputs import Parts
from pipeline.train.plan import Plan
from pipeline.train.recipe.losses import Loss
from pipeline.train.start.probe import FOLDS, MOST_ITEMS, ProbeItems, fit_probe, softening

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Start:
    """The probe, whose softened outputs a training starts from.

    Attributes:
        state: Of the whole model with the probe as it was fitted, on the CPU.
        facts: Its strength, its loss on held-out items of train, the factor of its outputs: JSON.
    """

    state: Mapping[str, Tensor]
    facts: Mapping[str, Any]


def take_probe(
    plan: Plan, parts: Parts, train: Split, model: nn.Module, head: Head, loss: Loss
) -> Start:
    """Make the head of a model the best linear layer on cached features, softened.

    See `softening`.
    """
    pooled = parts.features.require_pooled(by="train.start: probe")
    ids, seed = parts.store.index["id"].to_numpy()[train.rows_N], plan.recipe.seed
    places = pick(ids, MOST_ITEMS, seed, "probed")
    rows = train.rows_N[places]
    index = parts.store.index.iloc[rows]
    scaled = head.scale(torch.from_numpy(pooled.read(rows)))
    at = torch.from_numpy(places).to(train.targets_N.device)
    items = ProbeItems(
        scaled,
        train.targets_N[at].cpu(),
        train.weights_N[at].cpu(),
        deal(list(group_names(index)), FOLDS, seed, "probe"),
    )
    loss = loss.to("cpu")
    found = fit_probe(items, loss, head.out_features)
    factor = softening(found, items, loss)
    with torch.no_grad():
        head.weight.copy_(found.weight_KD)
        head.bias.copy_(found.bias_K)
        state = copy_state(model)
        head.weight.mul_(factor)
        head.bias.mul_(factor)
    log.info("probe: strength %.2g, loss %.4f on held-out items", found.strength, found.held_out)
    facts = {"items": len(rows), "strength": found.strength, "held_out_loss": found.held_out}
    return Start(state, {**facts, "factor": factor})
