"""The pretrained part of a network, whatever an item is: rows of the store in, features out.

Axes: B = items of a batch, D = pooled features.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from pipeline.modality.types.params import Pooling
from pipeline.store.shards import Array

Sizes = npt.NDArray[np.int64]

COUNTER = "num_batches_tracked"
"""How the names of batch normalization's counters end; they change no output of ours."""


class Backbone(nn.Module, ABC):
    """An architecture without its classifier.

    Attributes:
        model: Holds the tensors under the names that files of weights have.
        architecture: Its name.
        input_size: Shape of an input of its default weights.
        has_sizes: Whether inputs differ in size: see `sizes`.
    """

    model: Any
    architecture: str
    input_size: tuple[int, ...]
    has_sizes: bool = False

    @abstractmethod
    def check(self, spec: Any) -> None:
        """Check that rows of this spec can be computed.

        Raises:
            ParamsError: They cannot.
        """

    @abstractmethod
    def prepare(self, normalization: Any) -> nn.Module:
        """Return what makes inputs of rows, without trained tensors.

        It takes rows as the store has them, or as `Net.augment` gives them.
        """

    @abstractmethod
    def facts(self, normalization: Any) -> dict[str, Any]:
        """Return what the record of weights says that are fed by this normalization."""

    @abstractmethod
    def forward(self, inputs: Tensor) -> Tensor:
        """Return the last features, before pooling."""

    @abstractmethod
    def cut_name(self, cut: str | int) -> str:
        """Return the name of the lowest step above a cut, by its name or number.

        Raises:
            ParamsError: There is no such cut, or the architecture has none.
        """

    @abstractmethod
    def lower(self, inputs: Tensor, cut: str) -> Tensor:
        """Return the activations at a cut, which `upper` goes on from."""

    @abstractmethod
    def upper(self, activations: Tensor, cut: str) -> Tensor:
        """Return the last features from activations at a cut, equal to the bit to `forward`."""

    @abstractmethod
    def shape_at(self, spec: Any, cut: str | None, device: torch.device) -> tuple[int, ...]:
        """Return the shape of an item's activations at a cut; None: of its last features.

        Raises:
            ParamsError: The architecture cannot compute rows of this spec.
        """

    @abstractmethod
    def groups(self, cut: str | None) -> list[list[nn.Parameter]]:
        """Return the parameters from a cut (None: the first layer) upwards, by stage, lowest first.

        What runs after pooling belongs to the last group. An architecture without cuts is one
        group.
        """

    @abstractmethod
    def pool(self, features: Tensor, pooling: Pooling) -> Tensor:
        """Pool what `forward` gave, in float32 whatever the precision around: [B, D]."""

    @abstractmethod
    def pooled_dim(self, pooling: Pooling) -> int:
        """Return D, the number of pooled features."""

    def sizes(self, rows: Array) -> Sizes:
        """Return the size of each row as an input; here they have one, and it is 0.

        Where results must not depend on the other items, a batch holds items of one size.
        """
        return np.zeros(len(rows), dtype=np.int64)

    def notes(self, rows: Array) -> Sequence[Sequence[str]]:
        """Return for each row what a person should know of its answer: `<code>: <meaning>`."""
        return [()] * len(rows)

    @abstractmethod
    def fold(self) -> None:
        """Make inference faster; results change by rounding.

        Call it in eval mode, after loading weights and before moving to a device; where results
        must be equal, call it in every place.
        """

    @abstractmethod
    def speed_up(self) -> None:
        """Make gradients faster, once it is known which parameters have some."""

    def pooled(self, inputs: Tensor, pooling: Pooling) -> Tensor:
        """Return pooled features, float32 [B, D]; see `pooled_dim`."""
        return self.pool(self(inputs), pooling)
