"""What a Net says of pretrained weights: what they expect, and where files of them are."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

from torch import Tensor

from pipeline.ground.errors import ParamsError

Shapes = Mapping[str, tuple[int, ...]]
"""Name and shape of each tensor."""

ReadTensors = Callable[[], Mapping[str, Tensor]]
"""Reads a file of weights, safely: nothing in it is run."""


@dataclass(frozen=True)
class Expected:
    """What weights were trained with.

    Attributes:
        input_size: Shape of an input.
        facts: What else the record of weights says of their inputs, as JSON.
        license: Of the weights; None where it is not known.
    """

    input_size: tuple[int, ...]
    facts: Mapping[str, Any]
    license: str | None


@dataclass(frozen=True)
class Remote:
    """A file of weights elsewhere."""

    url: str
    sha256_prefix: str | None
    """Of its SHA-256, where the name of the file announces it."""


class Source(Protocol):
    """A kind of `weights.source` that is downloaded."""

    def remote(self, name: str, architecture: str) -> Remote:
        """Return the address of what will be downloaded; nothing is asked for it.

        Raises:
            ParamsError: The source does not exist, or is another architecture's.
        """

    def expected(self, name: str) -> Expected:
        """Return what the weights of this name were trained with."""


@dataclass(frozen=True)
class Package:
    """A package whose tensors are an architecture's.

    Attributes:
        architectures: Names that the `Net` knows; any of them will do.
        expected: What they were trained with.
        is_renamed: Whether they have other names; then they are matched one to one, in order.
        file: Its path below where packages are installed; None: the one that is a file of weights
            by its name.
    """

    architectures: Sequence[str]
    expected: Expected
    is_renamed: bool = True
    file: str | None = None


class Doubt(NamedTuple):
    """Why weights may do worse on rows than they could, and what to do then."""

    text: str
    remedy: str


def check_architecture(wanted: str | Sequence[str], architecture: str, *, source: str) -> None:
    """Check that a source holds weights of an architecture.

    Raises:
        ParamsError: It holds those of another.
    """
    names = [wanted] if isinstance(wanted, str) else wanted
    if architecture not in names:
        raise ParamsError(
            "params.yaml",
            f"must be {' or '.join(names)} for {source}",
            field="weights.architecture",
            got=architecture,
        )
