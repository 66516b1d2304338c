"""`transform` and `normalize`: pictures as rows of the store."""

from typing import Annotated, Literal

from pydantic import Field

from pipeline.modality.types.params import NormalizeSection, ShelfParams
from pipeline.picture.read.spec import WHITE16, DecodeSpec, Interpolation, ResizeMode

Byte = Annotated[int, Field(ge=0, le=255)]


class TransformParams(ShelfParams):
    """`transform`: how raw pictures become tensors of one size."""

    size_px: int = Field(ge=8, le=4096)
    """Side of the square tensors, pixels."""

    resize: ResizeMode
    """`squash` both sides, `crop` the center square, keep the `center` of it (7/8 of each side), or
    `pad` to a square."""

    interpolation: Interpolation
    """Always with antialiasing when a picture shrinks."""

    background: Annotated[tuple[Byte, Byte, Byte], Field(strict=False)]
    """Color under transparency and in padding: red, green, blue."""

    white16: int = Field(ge=255, le=WHITE16)
    """The value that is white in pictures of 16 bits whose file does not say it, such as 4095."""

    def spec(self) -> DecodeSpec:
        """Return the part that prediction needs too."""
        return DecodeSpec(
            self.size_px, self.resize, self.interpolation, self.background, self.white16
        )


Mode = Literal["minmax", "pretrained", "dataset"]


class NormalizeParams(NormalizeSection):
    """`normalize`: what values the network is fed with."""

    mode: Mode
    """`minmax`: train's range of a channel to 0..1; `pretrained`: mean and deviation that the
    weights were trained with; `dataset`: those of the train split."""

    drift_warn: float = Field(ge=0.0, le=100.0)
    """Warn where a split's mean lies further from train's, in train's deviations."""

    @property
    def unlike_weights(self) -> str | None:
        """The mode, where it is not that of the weights."""
        return None if self.mode == "pretrained" else self.mode
