"""The sections of params.yaml that are of pictures."""

from pipeline.picture.explain.params import PictureExplainParams
from pipeline.picture.net.params import AugmentParams
from pipeline.picture.read.params import PictureCleanParams
from pipeline.picture.shelf.params import NormalizeParams, TransformParams

SECTIONS = {
    "clean": PictureCleanParams,
    "transform": TransformParams,
    "normalize": NormalizeParams,
    "augment": AugmentParams,
    "explain": PictureExplainParams,
}

CANDIDATES = {
    "transform.resize": ("squash", "crop", "center", "pad"),
    "augment.hflip": (0.0, 0.5),
    "augment.vflip": (0.0, 0.5),
    "augment.transpose": (0.0, 0.5),
}
"""What may be `auto`, and the values that are tried, the reference first."""
