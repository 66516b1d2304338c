"""`train`: how long and what is trained."""

from typing import Annotated, Literal

from pydantic import ConfigDict, Field, field_validator

from pipeline.ground.params import Section
from pipeline.judge.metrics import METRICS


class TargetParams(Section):
    """What training reads of `data`, so that an edit of the other rules trains nothing again."""

    model_config = ConfigDict(extra="ignore")

    target: str = Field(min_length=1)
    """The label file's column with the labels."""


class PrivacyParams(Section):
    """`train.privacy`: what a trained model may tell of any one unit of train."""

    epsilon: float = Field(ge=0.05, le=100.0)
    """Of the whole training; smaller tells less."""

    delta: float = Field(gt=0.0, le=0.01)
    """Chance that more is told; must be below one over the units of train."""

    clip: float = Field(gt=0.0, le=100.0)
    """Longest gradient of a unit; the noise is in proportion to it, and steps are taken in units of
    it."""

    center: float = Field(ge=0.0, lt=1.0)
    """Share of the budget with which the mean of the features is measured; 0: it is not."""

    unit: Literal["item", "group"]
    """Whose presence is hidden: one item's, or that of all items of a group."""


class TrainParams(Section):
    """`train`: what is trained, from where, for how long, and which epoch is kept."""

    strategy: Literal["auto", "head", "top", "full"]
    """`head`: the last layer, on cached features; `top`: all above a cut, on cached activations;
    `full`: every layer, on rows of the store; `auto`: all but the lowest stages, from the probe
    on."""

    start: Literal["zero", "probe"]
    """`probe`: from the best linear layer on cached features (LP-FT, Kumar et al. 2022); what is
    kept is the mean of its weights and the trained ones that does best on validation."""

    epochs: Literal["auto"] | Annotated[int, Field(ge=1, le=100_000)]
    """Times that every item of train is seen, unless training stops early; `auto`: see
    `auto_epochs`."""

    batch_size: Literal["full"] | Annotated[int, Field(ge=1)]
    """Largest number of items in a step; `full`: all of train, which is plain gradient descent."""

    parts: int = Field(ge=1, le=1024)
    """Parts that a step is computed in, each with its own batch statistics, dropout and partners of
    mixing; at most so many processes can share a training. 1: a step is computed at once."""

    dropout: float = Field(ge=0.0, lt=1.0)
    """Share of features that are left out at random before the last layer."""

    batch_norm: Literal["batch", "stored"]
    """Of what is trained: normalize with the statistics of each batch, or the pretrained ones."""

    unfreeze_epochs: int = Field(ge=0, le=100_000)
    """Epochs after which the next stage below learns too, the head first; 0: all at once."""

    ema: float = Field(ge=0.0, lt=1.0)
    """Decay of the running average of the weights, which is what is kept; 0: the weights."""

    mixup: float = Field(ge=0.0, le=10.0)
    """Alpha of the shares in which items are mixed; 0: off."""

    cutmix: float = Field(ge=0.0, le=10.0)
    """Alpha of the shares in which items get pieces of others; 0: off."""

    test_views: Literal["auto"] | Annotated[int, Field(ge=1, le=8)]
    """Views of an item that a prediction averages over; 1: the item as it is; `auto`: all that
    `augment` allows."""

    monitor: str
    """The number on validation that says which epoch is best; `loss`, or a metric of the task."""

    patience: int = Field(ge=0)
    """Epochs without a better one after which training stops; 0: never."""

    privacy: PrivacyParams | None
    """Differential privacy; null: none is promised."""

    @field_validator("monitor")
    @classmethod
    def _check_monitor(cls, value: str) -> str:
        choices = ["loss", *(name for name, each in METRICS.items() if each.is_monitored)]
        if value not in choices:
            raise ValueError(f"must be one of {', '.join(choices)}, got {value!r}")
        return value
