"""What sections of params.yaml hold for items of every modality; each adds keys of its own."""

from typing import Any

from pydantic import Field

from pipeline.ground.params import Section


class ShelfParams(Section):
    """`transform`: how raw items become rows."""

    shard_rows: int = Field(ge=1, le=1_000_000)
    """Mean number of rows in one shard file."""

    def spec(self) -> Any:
        """Return how an item becomes a row: of the type of the modality's Shelf."""
        raise NotImplementedError
