"""`weights`: where pretrained weights come from."""

from typing import Annotated

from pydantic import Field, field_validator

from pipeline.ground.params import Section

_KINDS = ("package", "torchvision", "timm", "file", "model")


class WeightsParams(Section):
    """`weights`: what training starts from."""

    source: str
    """`package:<distribution>`, `torchvision:<Enum.MEMBER>`, `timm:<name>`, `file:<name in
    weights/>`, `model:models:/<name>@<alias>`, or `none` for a random start."""

    architecture: Annotated[str, Field(min_length=1)]
    """A timm name."""

    sha256: Annotated[str, Field(pattern=r"^[0-9a-fA-F]{64}$")] | None
    """Of the file, enforced; None: recorded, not enforced."""

    key: Annotated[str, Field(min_length=1)] | None
    """The state dict's key in the file, where it is nested."""

    @field_validator("source")
    @classmethod
    def _check_source(cls, value: str) -> str:
        kind, _, name = value.partition(":")
        if value == "none" or (kind in _KINDS and name):
            return value
        known = ", ".join(f"{each}:<name>" for each in _KINDS)
        raise ValueError(f"must be none or one of {known}, got {value!r}")
