"""The shapes that an architecture will give, found without making a single value."""

from dataclasses import dataclass

import torch

from pipeline.modality.nets import modality_for, net
from pipeline.modality.types.params import ShelfParams
from pipeline.model.params import FeaturesParams


@dataclass(frozen=True)
class Outline:
    """What `features` will write of one item.

    Attributes:
        pooled_dim: Pooled features; 0 where none are asked for.
        cut: Name of the lowest step above the cut; None without one.
        shape: Of the activations at the cut; None without one.
    """

    pooled_dim: int
    cut: str | None
    shape: tuple[int, ...] | None


def draw_outline(architecture: str, features: FeaturesParams, transform: ShelfParams) -> Outline:
    """Build an architecture without values, and send one item without values through it.

    Raises:
        ParamsError: There is no such architecture, it has no such cut, or it cannot take such rows.
    """
    spec = transform.spec()
    with torch.device("meta"):
        backbone = net(modality_for(architecture)).build(architecture)
    backbone.check(spec)
    cut = None if features.cut == "none" else backbone.cut_name(features.cut)
    shape = backbone.shape_at(spec, cut, torch.device("meta"))
    dim = backbone.pooled_dim(features.pooling) if features.pooled else 0
    return Outline(dim, cut, shape if cut else None)
