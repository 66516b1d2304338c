"""`tune`: what a search tries."""

from typing import Any, Literal

from pydantic import Field

from pipeline.ground.params import Section


class TuneParams(Section):
    """`tune`: what `rootstock tune` searches, and for how long."""

    trials: int = Field(ge=1, le=100_000)
    """Trainings, the one with the present params among them."""

    together: int = Field(ge=1, le=1000)
    """Trials that are drawn at once, when all before them are over. So many can run at a time on a
    cluster; none of them learns from another."""

    pruner: Literal["median", "none"]
    """`median` ends a trial that is worse than half of those before it at the same epoch."""

    seed: int = Field(ge=0, lt=2**63)
    """Of the search."""

    space: dict[str, dict[str, Any]]
    """By param: `{low, high}` with `log: true` for a logarithmic scale, or `{choices: [...]}`."""
