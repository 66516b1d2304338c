"""The shapes that an architecture will give, found without making a single value."""

from dataclasses import dataclass

import torch

from pipeline.ground.errors import ParamsError
from pipeline.model.params import FeaturesParams
from pipeline.picture.net.backbones import Backbone, build_backbone
from pipeline.picture.shelf.params import TransformParams


@dataclass(frozen=True)
class Outline:
    """What `features` will write of one picture.

    Attributes:
        input_size_px: Side of the pictures that the architecture's default weights were trained on.
        pooled_dim: Pooled features; 0 where none are asked for.
        cut: Name of the lowest step above the cut; None without one.
        shape: Of the activations at the cut; None without one.
    """

    input_size_px: int
    pooled_dim: int
    cut: str | None
    shape: tuple[int, ...] | None


def draw_outline(
    architecture: str, features: FeaturesParams, transform: TransformParams
) -> Outline:
    """Build an architecture without values, and send one picture without values through it.

    Raises:
        ParamsError: timm has no such architecture, it has no such cut, or it cannot take pictures
            of this size.
    """
    with torch.device("meta"):
        backbone = build_backbone(architecture)
    backbone.check_size(transform.size_px)
    cut = None if features.cut == "none" else backbone.cut_name(features.cut)
    shape = _shape(backbone, cut, transform.size_px)
    dim = backbone.pooled_dim(features.pooling) if features.pooled else 0
    return Outline(backbone.input_size[1], dim, cut, shape)


def _shape(backbone: Backbone, cut: str | None, size_px: int) -> tuple[int, ...] | None:
    picture = torch.zeros(1, 3, size_px, size_px, device="meta")
    try:
        with torch.inference_mode():
            if cut is None:
                backbone(picture)
                return None
            activations = backbone.lower(picture, cut)
            backbone.upper(activations, cut)
            return tuple(activations.shape[1:])
    except (AssertionError, RuntimeError) as error:
        raise ParamsError(
            "params.yaml",
            f"must be a size that {backbone.architecture} takes: {error}",
            field="transform.size_px",
            got=size_px,
            remedy=f"its own is {backbone.input_size[1]}",
        ) from error
