"""What a training starts from: what earlier stages wrote.

Axes: N items of a split.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pipeline.ground.params import Unchecked
from pipeline.modality.nets import Normalization, net
from pipeline.modality.types.backbone import Backbone
from pipeline.modality.types.params import AugmentSection
from pipeline.model.features import Features
from pipeline.store.store import Store
from pipeline.weights.weights import BackboneRecord, load_backbone


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

    def augment(self, section: Unchecked) -> AugmentSection:
        """Return how rows vary: the section `augment`, as the store's modality has it.

        Raises:
            ParamsError: It has none such.
        """
        return section.check(net(self.store.modality).params)


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
        ParamsError: The backbone takes other rows.
    """
    store = Store.open(sources.store)
    backbone, record = load_backbone(sources.backbone, sources.record, store.modality)
    normalization = net(store.modality).load_normalization(sources.normalization)
    backbone.check(store.spec)
    return Parts(Features.open(sources.features), store, normalization, backbone, record)
