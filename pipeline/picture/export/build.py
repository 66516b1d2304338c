"""From a trained network to modules that stand alone."""

import copy
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from pipeline.export.answers import answer_arguments, fill_classifier
from pipeline.model.bundle import Bundle
from pipeline.model.network import Network
from pipeline.picture.export.modules import PictureModel, PooledClassifier
from pipeline.picture.net.cpu.folding import relative_change

_TIMM_POOLING = {"mean": "avg", "max": "max", "mean+max": "catavgmax"}
"""What timm calls them, where an architecture has them at all."""

_MAX_RELATIVE_CHANGE = 1e-4
"""Of the largest output, between two ways to compute the same."""


@dataclass(frozen=True)
class Classifier:
    """A model from normalized pictures to outputs.

    Attributes:
        module: timm's own model with its classifier, or a `PooledClassifier`.
        options: What `timm.create_model` makes the former with; None for the latter.
    """

    module: nn.Module
    options: dict[str, Any] | None


def pooled_classifier(network: Network) -> PooledClassifier:
    """Return a network without normalization as one of torch's and timm's modules; it shares those.

    The scaling of the head goes into its one layer.
    """
    head = network.head
    module = PooledClassifier(
        network.backbone.model, network.pooling.split("+"), head.out_features
    ).requires_grad_(requires_grad=False)
    fill_classifier(module.classifier, head)
    # rows of memory as they are numbered: all formats store them so
    return module.eval().to(memory_format=torch.contiguous_format)


def classifier(network: Network) -> Classifier:
    """Return the same as timm's own model where timm can express the pooling, which is tried."""
    pooled = pooled_classifier(network)
    size = network.backbone.input_size[1]
    ramp = torch.linspace(-2, 2, 3 * size * size).view(1, 3, size, size)
    try:
        whole = copy.deepcopy(pooled.backbone)
        pooling = _TIMM_POOLING[network.pooling]
        whole.reset_classifier(network.head.out_features, global_pool=pooling)
        fill_classifier(whole.get_classifier(), network.head)
        whole.eval().requires_grad_(requires_grad=False)
        with torch.no_grad():
            change = relative_change(pooled(ramp), whole(ramp))
    except (AssertionError, AttributeError, RuntimeError, TypeError, ValueError):
        return Classifier(pooled, None)
    if not change <= _MAX_RELATIVE_CHANGE:
        return Classifier(pooled, None)
    options: dict[str, Any] = {"num_classes": network.head.out_features, "global_pool": pooling}
    if hasattr(whole, "fc_norm"):  # else timm moves the last norm with the kind of pooling
        options["fc_norm"] = not isinstance(whole.fc_norm, nn.Identity)
    return Classifier(whole, options)


def picture_model(module: nn.Module, bundle: Bundle) -> PictureModel:
    """Put around a classifier what a bundle says of its inputs and outputs."""
    return PictureModel(module, **picture_arguments(bundle)).eval()


def picture_arguments(bundle: Bundle) -> dict[str, Any]:
    """Return the arguments of a `PictureModel` by their names."""
    return {
        "multiplier": bundle.normalization.multiplier.tolist(),
        "offset": bundle.normalization.offset.tolist(),
        "views": bundle.views,
        **answer_arguments(bundle),
    }
