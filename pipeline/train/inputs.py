"""What a training starts from: its params, and what earlier stages wrote.

Axes: N items of a split.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pipeline.ground.params import Task
from pipeline.model.features import Features
from pipeline.picture.net.backbones import Backbone
from pipeline.picture.net.params import AugmentParams
from pipeline.picture.shelf.normalization import Normalization
from pipeline.store.store import Store
from pipeline.train.loop import Recipe
from pipeline.train.recipe.params import LossParams
from pipeline.weights.weights import BackboneRecord, load_backbone


@dataclass(frozen=True)
class Plan:
    """All params of a training."""

    task: Task
    target: str
    """Name of what is predicted."""

    recipe: Recipe
    loss: LossParams
    augment: AugmentParams


@dataclass(frozen=True)
class Sources:
    """The files that a training reads."""

    features: Path
    store: Path
    normalization: Path
    backbone: Path
    record: Path


@dataclass(frozen=True)
class Parts:
    """What the sources hold, opened."""

    features: Features
    store: Store
    normalization: Normalization
    backbone: Backbone
    record: BackboneRecord


@dataclass(frozen=True)
class Rows:
    """Which rows of the store are trained on, and which choose the best epoch: int64, ascending."""

    train: np.ndarray
    val: np.ndarray


def open_parts(sources: Sources) -> Parts:
    """Open what earlier stages wrote.

    Raises:
        DataError: A file is missing.
        IntegrityError: A file is damaged.
        ParamsError: The backbone takes pictures of another size.
    """
    backbone, record = load_backbone(sources.backbone, sources.record)
    parts = Parts(
        features=Features.open(sources.features),
        store=Store.open(sources.store),
        normalization=Normalization.load(sources.normalization),
        backbone=backbone,
        record=record,
    )
    backbone.check_size(parts.store.spec.size_px)
    return parts
