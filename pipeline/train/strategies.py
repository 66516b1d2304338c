"""What is trained under each strategy: the model, its head, and what examples it takes.

Axes: N items of a split, D features.
"""

from collections.abc import Callable
from dataclasses import replace
from itertools import accumulate
from typing import TypeAlias

import numpy as np
import torch
from torch import nn

from pipeline.model.head import Head
from pipeline.model.network import Network, Upper
from pipeline.train.examples import Split, Targets
from pipeline.train.inputs import Parts
from pipeline.train.loop import Examples
from pipeline.train.plan import Plan

_FIXED_SHARE = 0.01
"""Of the backbone's weights, from below by stage: what `auto` does not train."""

_CHUNK = 4096
"""Rows that are read at once, for their sizes."""

Built: TypeAlias = tuple[nn.Module, Head, Callable[[Split], Examples]]
"""The model, its head (a part of it, or the whole), and examples of a split as the model takes
them."""


Measure: TypeAlias = Callable[[torch.Tensor], torch.Tensor]
"""Unit features [N, D] of train to their mean [D], with noise."""


def build_model(
    plan: Plan, parts: Parts, targets: Targets, train: Split, *, measure: Measure | None = None
) -> Built:
    """Return what is trained under the strategy of the plan.

    Args:
        plan: Names the strategy.
        parts: Its backbone becomes a part of the model.
        targets: Decide the outputs.
        train: Items whose pooled features scale the head.
        measure: Gives their mean, in place of exact numbers; only where training is private.

    Raises:
        ParamsError: Features are missing for the strategy.
    """
    model, head, examples = _STRATEGIES[plan.recipe.train.strategy](plan, parts, targets)
    _fit_scaling(plan, parts, head, train, measure)
    return model, head, examples


def trained_groups(plan: Plan, parts: Parts, head: Head) -> list[list[nn.Parameter]]:
    """Return what is trained, by stage, lowest first: of the backbone what the strategy moves."""
    strategy = plan.recipe.train.strategy
    own = [list(head.parameters())]
    if strategy == "head":
        return own
    groups = parts.backbone.groups(parts.features.cut if strategy == "top" else None)
    return [*(_without_lowest(groups) if strategy == "auto" else groups), *own]


def _without_lowest(groups: list[list[nn.Parameter]]) -> list[list[nn.Parameter]]:
    """Leave out the lowest stages, as long as all of these are a small share of the weights.

    Of pictures these are filters of edges and colors, which fit any data. They have the largest
    maps, so to train them takes the most time, and few steps make them worse.
    """
    sizes = [sum(each.numel() for each in group) for group in groups]
    most = _FIXED_SHARE * sum(sizes)
    return [group for group, below in zip(groups, accumulate(sizes), strict=True) if below > most]


def _head_strategy(plan: Plan, parts: Parts, targets: Targets) -> Built:
    """Train the head alone, on cached features."""
    pooled = parts.features.require_pooled()
    head = _head(plan, parts, targets)
    return head, head, lambda split: split.of_features(pooled)


def _full_strategy(plan: Plan, parts: Parts, targets: Targets) -> Built:
    """Train every layer, on rows of the store."""
    head = _head(plan, parts, targets)

    def examples(split: Split) -> Examples:
        return _with_sizes(
            split.of_rows(parts.store, plan.augment, seed=plan.recipe.seed), split, parts
        )

    return whole_network(parts, head), head, examples


def _top_strategy(plan: Plan, parts: Parts, targets: Targets) -> Built:
    """Train what is above the cut, on cached activations of what is below."""
    activations = parts.features.require_activations()
    head = _head(plan, parts, targets)
    ids = parts.store.index["id"].to_numpy()

    def examples(split: Split) -> Examples:
        return _with_sizes(
            split.of_activations(activations, ids, seed=plan.recipe.seed), split, parts
        )

    return Upper(whole_network(parts, head), str(parts.features.cut)), head, examples


def _with_sizes(examples: Examples, split: Split, parts: Parts) -> Examples:
    """Add the sizes of inputs, where they differ."""
    backbone, rows_N = parts.backbone, split.rows_N
    if not backbone.has_sizes:
        return examples
    chunks = np.array_split(rows_N, -(-len(rows_N) // _CHUNK))
    sizes_N = np.concatenate([backbone.sizes(parts.store.read(each)) for each in chunks])
    return replace(examples, sizes_N=sizes_N)


_STRATEGIES = {
    "auto": _full_strategy,
    "head": _head_strategy,
    "top": _top_strategy,
    "full": _full_strategy,
}


def _head(plan: Plan, parts: Parts, targets: Targets) -> Head:
    train = plan.recipe.train
    dim = parts.backbone.pooled_dim(parts.features.meta["pooling"])
    return Head(dim, targets.outputs, dropout=train.dropout, unit=train.privacy is not None)


def _fit_scaling(
    plan: Plan, parts: Parts, head: Head, train: Split, measure: Measure | None
) -> None:
    """Scale the head to pooled features of train, where they were computed."""
    privacy = plan.recipe.train.privacy
    if privacy is not None and privacy.center == 0.0:
        return
    if privacy is not None:
        parts.features.require_pooled(by="train.privacy.center")
    if parts.features.pooled is None:
        return
    pooled_ND = torch.from_numpy(parts.features.pooled[train.rows_N])
    if measure is None:
        head.fit_scaling(pooled_ND)
    else:
        head.mean.copy_(measure(head.scale(pooled_ND)))


def whole_network(parts: Parts, head: Head) -> Network:
    """Put backbone and head together, rows to outputs."""
    pooling = parts.features.meta["pooling"]
    return Network(parts.backbone, head, normalization=parts.normalization, pooling=pooling)
