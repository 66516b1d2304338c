"""The Net of pictures: rows to features. Axes: B = pictures, H = W = size."""

from collections.abc import Sequence
from typing import Any

import timm

from pipeline.modality.types.plain_net import PlainFiles
from pipeline.modality.types.pretrained import Doubt, Expected
from pipeline.picture.net import augment as augmenting
from pipeline.picture.net import backbones, cuts, preparation
from pipeline.picture.net.cpu import folding, fusing, padding
from pipeline.picture.net.params import AugmentParams
from pipeline.picture.net.sources import PACKAGES, SOURCES
from pipeline.picture.read.spec import DecodeSpec
from pipeline.picture.shelf import normalization as normalizing
from pipeline.picture.shelf.normalization import Normalization


class PictureNet(PlainFiles):
    """Architectures of timm, and orientations of pictures; see `modality.nets.Net`."""

    VERSIONS = backbones.VERSIONS
    CODE = (augmenting, normalizing, backbones, cuts, folding, fusing, padding, preparation)
    params = AugmentParams
    SOURCES = SOURCES
    PACKAGES = PACKAGES
    VIEWS = range(8)

    build = staticmethod(backbones.build_backbone)
    shapes = staticmethod(backbones.shapes)
    without_classifier = staticmethod(backbones.without_classifier)
    looks_like = staticmethod(backbones.looks_like)
    read_normalization = staticmethod(Normalization.from_dict)
    load_normalization = staticmethod(Normalization.load)
    view = staticmethod(augmenting.orient)
    spread_views = staticmethod(augmenting.spread_orientations)
    augment = staticmethod(augmenting.augment_batch)

    def knows(self, architecture: str) -> bool:
        """Return whether timm has it."""
        return bool(timm.is_model(architecture))

    def expected(self, architecture: str) -> Expected:
        """Return what timm says of an architecture's default weights."""
        return backbones.preprocessing(architecture).expected

    def doubt(
        self, spec: DecodeSpec, architecture: str, *, input_size: Sequence[int]
    ) -> Doubt | None:
        """Return whether pictures have another size than those that weights were trained on."""
        side = input_size[1]
        if spec.size_px == side:
            return None
        return Doubt(
            f"transform.size_px: pictures of {spec.size_px} px, where {architecture} was trained "
            f"with {side} px",
            f"fine if intended; else set it to {side}",
        )

    def facts(self, spec: DecodeSpec) -> dict[str, Any]:
        """Return what records say of the size of pictures."""
        return {"size_px": spec.size_px}


NET = PictureNet()
