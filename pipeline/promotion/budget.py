"""What all recorded results of the same data tell together: their budgets, added up.

Results that were trained on one raw folder count together, whatever state it was in: most items
are in all of them. Where the bundles are at hand the accountant composes all releases, else
epsilons and deltas are summed (Dwork et al. 2006).
"""

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.ground.errors import MachineError, ParamsError
from pipeline.keys.keys import data_path
from pipeline.repo.cache import cache_folder, object_path
from pipeline.repo.history import read_history
from pipeline.repo.lock import LOCK, Lock
from pipeline.train.private.accounting import Release, epsilon_of

_MODEL, _BUNDLE = "model.safetensors", "bundle.json"


@dataclass(frozen=True)
class Spent:
    """What the results of one raw folder told.

    Attributes:
        data: The folder.
        results: Private ones: distinct models.
        plain: Distinct models without a promise.
        unit: Of privacy; `item` where they differ.
        epsilon: Of all private ones together.
        delta: Likewise.
        is_composed: Whether the accountant composed it; else it is a sum.
    """

    data: str
    results: int
    plain: int
    unit: str
    epsilon: float
    delta: float
    is_composed: bool

    def told(self) -> str:
        """Return it as a line."""
        how = "composed" if self.is_composed else "summed"
        text = (
            f"privacy: {self.data}: {self.results} private results told epsilon "
            f"{self.epsilon:.3g}, delta {self.delta:.2g} of each {self.unit} of train ({how})"
        )
        return text + (f"; {self.plain} others promise nothing" if self.plain else "")


@dataclass(frozen=True)
class _Result:
    data: str
    model: str
    bundle: str
    privacy: dict[str, Any] | None


def find_spent(root: Path) -> list[Spent]:
    """Return what was spent of each raw folder that a private result was trained on.

    Looked at are the lock files of all commits, and that of the working tree.
    """
    locks = [each.lock for each in read_history(root)[0]]
    if (root / LOCK).exists():
        locks.append(Lock.read(root / LOCK))
    found: dict[str, dict[str, _Result]] = {}
    for result in _results(locks):
        found.setdefault(result.data, {})[result.model] = result
    return [
        _add_up(data, list(results.values()), cache_folder(root))
        for data, results in sorted(found.items())
        if any(each.privacy for each in results.values())
    ]


def _results(locks: Iterable[Lock]) -> Iterator[_Result]:
    for lock in locks:
        try:
            train = lock.params("train").get("train") or {}
            models = (lock.out("train", _MODEL), lock.out("train", _BUNDLE))
            yield _Result(data_path(lock), *models, train.get("privacy"))
        except ParamsError:  # it has not come to training
            continue


def _add_up(data: str, results: list[_Result], cache: Path) -> Spent:
    private = [each.privacy for each in results if each.privacy]
    delta = sum(each["delta"] for each in private)
    units = {str(each["unit"]) for each in private}
    epsilon = sum(each["epsilon"] for each in private)
    composed = _compose([each.bundle for each in results if each.privacy], delta, cache)
    is_composed = composed is not None and len(units) == 1
    return Spent(
        data,
        len(private),
        len(results) - len(private),
        units.pop() if len(units) == 1 else "item",
        composed if composed is not None and is_composed else epsilon,
        delta,
        is_composed,
    )


def _compose(bundles: list[str], delta: float, cache: Path) -> float | None:
    """Return the epsilon of all releases; None where a bundle or the accountant is not here."""
    try:
        told = [
            json.loads(object_path(cache, each).read_text(encoding="utf-8")) for each in bundles
        ]
        releases = [Release(**each) for one in told for each in one["privacy"]["releases"]]
        return epsilon_of(releases, delta)
    except (OSError, ValueError, KeyError, TypeError, MachineError):
        return None
