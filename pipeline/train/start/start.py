"""What a training starts from: the linear probe on cached features, as the head.

Source: linear probing, then fine-tuning (LP-FT), Kumar et al. (2022).

Axes: N = items of a split.
"""

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from pipeline.ground.seeds import deal, pick
from pipeline.manifest.manifest import group_names
from pipeline.model.head import Head
from pipeline.train.examples import Split
from pipeline.train.inputs import Parts
from pipeline.train.plan import Plan
from pipeline.train.recipe.losses import Loss
from pipeline.train.start.probe import FOLDS, MOST_ITEMS, ProbeItems, fit_probe

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Start:
    """The probe that a training starts from.

    Attributes:
        state: Of the whole model, on the CPU.
        facts: Its strength, and its loss on held-out items of train: JSON.
    """

    state: Mapping[str, Tensor]
    facts: Mapping[str, Any]


def take_probe(plan: Plan, parts: Parts, train: Split, head: Head, loss: Loss) -> dict[str, Any]:
    """Make the head the best linear layer on cached features; give what is known of it."""
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
    found = fit_probe(items, loss.to("cpu"), head.out_features)
    with torch.no_grad():
        head.weight.copy_(found.weight_KD)
        head.bias.copy_(found.bias_K)
    held_out = min(found.losses_S)
    log.info("probe: strength %.2g, loss %.4f on held-out items", found.strength, held_out)
    return {"items": len(rows), "strength": found.strength, "held_out_loss": held_out}
