"""What sections of params.yaml hold for items of every modality; each adds keys of its own."""

from typing import Any, ClassVar, Literal

from pydantic import Field

from pipeline.ground.params import Section

Pooling = Literal["mean", "max", "mean+max"]
"""Of the last features of an item, to a vector."""


class ShelfParams(Section):
    """`transform`: how raw items become rows."""

    shard_rows: int = Field(ge=1, le=1_000_000)
    """Mean number of rows in one shard file."""

    def spec(self) -> Any:
        """Return how an item becomes a row: of the type of the modality's Shelf."""
        raise NotImplementedError


class AugmentSection(Section):
    """`augment`: how items of the train split vary. This one: not at all."""

    has_area: ClassVar[bool] = False
    """Whether a piece can be cut out of a row and put into another one."""

    def views(self) -> tuple[int, ...]:
        """Return the codes of all views that training items may have, the item as it is first."""
        return (0,)
