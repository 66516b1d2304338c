"""How much of an answer goes out: all probabilities, fewer decimals, or the answer alone.

What goes out helps who wants to rebuild the model, or to know whether an item was trained on.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

Shown = Literal["all", "top", "label"]

_CLASS = "p_"
_LABEL, _TOP = "label", "confidence"


@dataclass(frozen=True)
class Disclosure:
    """What goes out of each row.

    Attributes:
        decimals: Of all numbers; None: as they are.
        shown: `all`; `top`: the label and its probability; `label`: the label alone.
    """

    decimals: int | None = None
    shown: Shown = "all"

    @property
    def explains(self) -> bool:
        """Whether explanations may go out: they tell more than all probabilities."""
        return self.shown == "all"

    def columns(self, names: Sequence[str]) -> list[str]:
        """Return the columns of rows that go out."""
        return [name for name in names if not self._hides(name)]

    def row(self, row: Mapping[str, Any]) -> dict[str, Any]:
        """Return what goes out of a row.

        The probabilities of a row still sum to 1, and the largest stays the largest.
        """
        found = dict(row)
        if self.decimals is not None:
            found = {name: _rounded(each, self.decimals) for name, each in found.items()}
            names = [name for name in row if name.startswith(_CLASS) and row[name] is not None]
            top = f"{_CLASS}{row.get(_LABEL)}"
            names.sort(key=lambda name: name != top)  # of equal rests the answer's goes up
            found |= _shares({name: row[name] for name in names}, self.decimals)
            if top in names:
                found[_TOP] = found[top]
        return {name: each for name, each in found.items() if not self._hides(name)}

    def _hides(self, name: str) -> bool:
        is_other = self.shown != "all" and name.startswith(_CLASS)
        return is_other or (self.shown == "label" and name == _TOP)


def _rounded(value: Any, decimals: int) -> Any:
    if isinstance(value, float):
        return round(value, decimals)
    return [_rounded(each, decimals) for each in value] if isinstance(value, list) else value


def _shares(values: Mapping[str, float], decimals: int) -> dict[str, float]:
    """Round probabilities so that they still sum to 1: largest rests go up (Hamilton's method)."""
    units = 10**decimals
    floors = {name: math.floor(value * units) for name, value in values.items()}
    left = units - sum(floors.values())
    by_rest = sorted(values, key=lambda name: floors[name] - values[name] * units)
    for name in by_rest[: max(0, left)]:
        floors[name] += 1
    return {name: round(n / units, decimals) for name, n in floors.items()}
