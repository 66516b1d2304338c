"""The params of the side branch `explain`."""

from typing import Annotated, Literal

from pydantic import Field

from pipeline.ground.params import Section


class ExplainParams(Section):
    """`explain`: which items are looked at closely, and how the test split is cut in parts."""

    items: int = Field(ge=1, le=1_000_000)
    """Most test items that are looked at, chosen by their ids; all else is of the whole split."""

    checked: int = Field(ge=1, le=100_000)
    """Of these, how many are in the two checks of the maps, which take some passes each."""

    randomizations: int = Field(ge=1, le=100)
    """Times that weights are shuffled to see whether the maps depend on them."""

    max_correlation: float = Field(gt=0.0, le=1.0)
    """Rank correlation with the maps of shuffled weights above which the stage warns."""

    border_frac: float = Field(gt=0.0, lt=0.5)
    """Width of the border whose heat is counted, over the side of an item."""

    covered_frac: float = Field(gt=0.0, lt=1.0)
    """Share of an item's area that is covered, where it is hottest, to see what that changes."""

    shown: int = Field(ge=1, le=24)
    """Examples of each class on its sheet: so many right ones, and so many wrong ones."""

    slices: Literal["auto"] | Annotated[tuple[str, ...], Field(strict=False)]
    """Columns of the label file by whose values the test split is judged apart; `auto`: all with 2
    to 20 values."""

    min_slice: int = Field(ge=2, le=1_000_000)
    """A slice with fewer items is counted, and no claim is made about it."""

    seed: int = Field(ge=0, lt=2**63)
    """Of the shuffled weights."""
