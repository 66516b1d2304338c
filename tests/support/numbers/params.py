"""The sections of params.yaml that are of lists of numbers; none of their values may be `auto`."""

from pipeline.numbers.read.params import NumberCleanParams
from pipeline.numbers.shelf.params import NumberScalingParams, NumberShelfParams

from pipeline.modality.types.params import AugmentSection, ExplainParams

SECTIONS = {
    "clean": NumberCleanParams,
    "transform": NumberShelfParams,
    "normalize": NumberScalingParams,
    "augment": AugmentSection,
    "explain": ExplainParams,
}

CANDIDATES: dict[str, tuple[float, ...]] = {}
