"""The params of the side branch `privacy`."""

from pydantic import Field

from pipeline.ground.params import Section


class AuditParams(Section):
    """`privacy`: how a model is asked which items it was trained on."""

    heads: int = Field(ge=8, le=4096)
    """Shadow heads, each trained on a random half of the items. They tell how hard an item is for
    a head that did not see it."""

    epochs: int = Field(ge=1, le=100_000)
    """Of each shadow head."""

    lr: float = Field(gt=0.0, le=10.0)
    """Peak learning rate of each shadow head."""

    members: int = Field(ge=10, le=1_000_000)
    """Items of train whose answers the model is asked for, at most; each costs a prediction. Of
    test all are asked for."""

    shown: int = Field(ge=1, le=1_000_000)
    """Rows that list the most exposed items of train."""
