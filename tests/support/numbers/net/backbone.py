"""A fixed random projection with a bend."""

from typing import Any

import torch
from pipeline.numbers.shelf.params import NumberSpec
from pipeline.numbers.shelf.scaling import NumberNormalization
from torch import Tensor, nn

from pipeline.ground.errors import ParamsError
from pipeline.modality.types.backbone import Backbone
from pipeline.modality.types.params import Pooling

LENGTH = 6
WIDTH = 16


class Standardize(nn.Module):
    """A normalization as a layer."""

    def __init__(self, normalization: NumberNormalization) -> None:
        super().__init__()
        self.mean, self.std = normalization.mean, normalization.std

    def forward(self, rows: Tensor) -> Tensor:
        """Return float32 inputs."""
        return (rows.to(torch.float32) - self.mean) / self.std


class Projection(nn.Module):
    """`LENGTH` numbers to `WIDTH`."""

    def __init__(self) -> None:
        super().__init__()
        self.project = nn.Linear(LENGTH, WIDTH)

    def forward(self, inputs: Tensor) -> Tensor:
        """Return features."""
        return torch.tanh(self.project(inputs))


class NumberBackbone(Backbone):
    """The projection behind the class `Backbone`; it has no cuts."""

    def __init__(self, model: Projection, architecture: str) -> None:
        super().__init__()
        self.model = model
        self.architecture = architecture
        self.input_size = (LENGTH,)

    def check(self, spec: NumberSpec) -> None:
        """Check the length of rows."""
        if spec.length != LENGTH:
            raise ParamsError(
                "params.yaml", f"must be {LENGTH}", field="transform.length", got=spec.length
            )

    def prepare(self, normalization: NumberNormalization) -> nn.Module:
        """Return what makes inputs of rows."""
        return Standardize(normalization)

    def facts(self, normalization: NumberNormalization) -> dict[str, Any]:
        """Return what the record of weights says."""
        del normalization
        return {}

    def forward(self, inputs: Tensor) -> Tensor:
        """Return features."""
        found: Tensor = self.model(inputs)
        return found

    def cut_name(self, cut: str | int) -> str:
        """Refuse every cut."""
        raise ParamsError("params.yaml", "has no cuts", field="features.cut", got=cut)

    def lower(self, inputs: Tensor, cut: str) -> Tensor:
        """Refuse every cut."""
        raise NotImplementedError(cut)

    def upper(self, activations: Tensor, cut: str) -> Tensor:
        """Refuse every cut."""
        raise NotImplementedError(cut)

    def shape_at(self, spec: Any, cut: str | None, device: torch.device) -> tuple[int, ...]:
        """Return the shape of the features."""
        del spec, cut, device
        return (WIDTH,)

    def groups(self, cut: str | None) -> list[list[nn.Parameter]]:
        """Return one group."""
        del cut
        return [list(self.model.parameters())]

    def pool(self, features: Tensor, pooling: Pooling) -> Tensor:
        """Return the features: there is one place."""
        return torch.cat([features.float() for _ in pooling.split("+")], dim=1)

    def pooled_dim(self, pooling: Pooling) -> int:
        """Return D."""
        return WIDTH * len(pooling.split("+"))

    def fold(self) -> None:
        """Fold nothing."""

    def speed_up(self) -> None:
        """Speed up nothing."""
