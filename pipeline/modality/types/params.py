"""What sections of params.yaml hold for items of every modality; each adds keys of its own."""

from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, field_validator

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


class NormalizeSection(Section):
    """`normalize`: what is done to the values of rows."""

    @property
    def unlike_weights(self) -> str | None:
        """The mode, where the weights were trained with another one; None: it is theirs."""
        return None


class AugmentSection(Section):
    """`augment`: how items of the train split vary. This one: not at all."""

    has_area: ClassVar[bool] = False
    """Whether a piece can be cut out of a row and put into another one."""

    def views(self) -> tuple[int, ...]:
        """Return the codes of all views that training items may have, the item as it is first."""
        return (0,)


NearPolicy = Literal["drop", "report", "off"]
MissingLabel = Literal[
    "quarantine", "drop", "ffill", "bfill", "most_frequent", "mean", "median", "error"
]


class IgnoreParams(Section):
    """Of `clean`: what is needed before the modality is known."""

    ignore: list[str]
    """Patterns of files and folders that are left out: a name, or a path from the raw folder."""

    @field_validator("ignore")
    @classmethod
    def _name_something(cls, value: list[str]) -> list[str]:
        for glob in value:
            if not glob.strip("/ ") or ".." in glob.split("/"):
                raise ValueError(f"must be names or paths inside the raw folder, got {glob!r}")
        return value


class CleanParams(IgnoreParams):
    """`clean`: what is good enough to learn from."""

    missing_label: MissingLabel
    """What happens to items without a label; mean and median are for regression."""

    max_bad_frac: float = Field(ge=0.0, le=1.0)
    """Largest share of quarantined items among all; above it the stage stops."""

    near_duplicates: NearPolicy
    """Of nearly equal items across splits: drop all but those of the most protected split."""

    near_correlation: float = Field(ge=0.0, lt=1.0)
    """Smallest likeness of two sketches that count as nearly the same; each modality bounds it."""

    max_near_frac: float = Field(ge=0.0, le=1.0)
    """Largest share of a split or class that near-duplicates may take; above it the stage stops."""

    leaks: Literal["refuse", "drop"]
    """Of equal or nearly equal items across given splits: stop, or mend as above."""

    metadata: Literal["report", "refuse"]
    """What items tell of people, places and machines besides what is learned from: count it by
    kind, or stop."""


class ExplainParams(Section):
    """`explain`: which items are looked at closely, and how the test split is cut in parts."""

    items: int = Field(ge=1, le=1_000_000)
    """Most test items that are looked at, chosen by their ids; all else is of the whole split."""

    checked: int = Field(ge=1, le=100_000)
    """Of these, how many are in the two checks, which take some passes each."""

    randomizations: int = Field(ge=1, le=100)
    """Times that weights are shuffled to see whether explanations depend on them."""

    max_correlation: float = Field(gt=0.0, le=1.0)
    """Rank correlation with the explanations of shuffled weights above which the stage warns."""

    covered_frac: float = Field(gt=0.0, lt=1.0)
    """Share of an item that is taken away, where it matters most, to see what that changes."""

    shown: int = Field(ge=1, le=24)
    """Examples of each class on its sheet: so many right ones, and so many wrong ones."""

    slices: Literal["auto"] | Annotated[tuple[str, ...], Field(strict=False)]
    """Columns of the label file by whose values the test split is judged apart; `auto`: all with 2
    to 20 values."""

    min_slice: int = Field(ge=2, le=1_000_000)
    """A slice with fewer items is counted, and no claim is made about it."""

    seed: int = Field(ge=0, lt=2**63)
    """Of the shuffled weights."""
