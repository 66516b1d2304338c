"""The sections of params.yaml that are of pictures."""

from pipeline.picture.net.params import AugmentParams
from pipeline.picture.read.params import PictureCleanParams
from pipeline.picture.shelf.params import NormalizeParams, TransformParams

SECTIONS = {
    "clean": PictureCleanParams,
    "transform": TransformParams,
    "normalize": NormalizeParams,
    "augment": AugmentParams,
}
