"""The sections of params.yaml that are of texts; none of their values may be `auto`."""

from typing import Any

from pipeline.modality.types.params import AugmentSection, ExplainParams
from pipeline.text.read.params import TextCleanParams
from pipeline.text.shelf.params import TextNormalizeParams, TextTransformParams

SECTIONS = {
    "clean": TextCleanParams,
    "transform": TextTransformParams,
    "normalize": TextNormalizeParams,
    "augment": AugmentSection,
    "explain": ExplainParams,
}

CANDIDATES: dict[str, tuple[Any, ...]] = {}
