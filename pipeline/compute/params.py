"""`runtime`: how numbers are computed."""

from typing import Literal

from pydantic import Field

from pipeline.ground.params import Section


class RuntimeParams(Section):
    """`runtime`: what a result depends on besides data, weights and recipe."""

    seed: int = Field(ge=0, lt=2**63)
    """The one seed; every random stream is derived from it by name."""

    threads: int = Field(ge=1, le=1024)
    """CPU threads of one operation; part of the numeric fingerprint, so fixed here."""

    device: Literal["auto", "cpu", "cuda", "mps"]
    """Where tensors live; `auto` takes a GPU where there is one."""

    precision: Literal["auto", "fp32", "bf16"]
    """Of the backbone's operations; `auto` takes bf16 where the processor computes in it."""

    compile: bool
    """Compile what is trained with torch.compile; on a CPU that needs a C++ compiler."""
