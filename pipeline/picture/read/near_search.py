"""Which thumbnails show the same picture, found without comparing each with each.

Candidates are neighbors in the lowest frequencies of the normalized thumbnails, without the mean:
an orthonormal projection makes no distance longer, so a search within sqrt(2 - 2c) misses no pair
with a correlation of c.

Two shortcuts bound memory and time, and still connect what belongs together. Of equal thumbnails
only the first is searched. Where many lie close together, those that are like the first of them
hang on it, and the others look at their nearest candidates alone; such thumbnails are counted. Both
are taken among thumbnails of one kind, so that what belongs together by its kind too is connected
without the others.
"""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from pipeline.modality.types.alike import Alike, join_pairs
from pipeline.picture.read.spec import Pixels
from pipeline.picture.read.thumbnail import SIDE_PX
from pipeline.picture.read.thumbnail_match import (
    CELLS,
    INVERSE_TURNS,
    TURNS,
    Floats,
    Ints,
    Thumbnails,
    blocks,
)
from pipeline.store.spill import Piece, Place

MIN_CONTRAST = 2.0
"""Smallest standard deviation of a thumbnail, in gray levels: below it, normalized thumbnails are
little but rounding."""

NEAREST = 64
"""Candidates looked at for each thumbnail, in each orientation."""

_FREQUENCIES = 6
"""Of rows and of columns; kept are those whose numbers sum to less than this."""

_COARSE_FREQUENCIES = 3
"""Likewise, where places are found at which many thumbnails lie."""

_ROUNDS = 4
"""How often the first of many is taken as the one to hang on."""

_SLACK = 1e-5
"""Room for the rounding of the projection, which only chooses candidates."""


@dataclass(frozen=True)
class PictureSketches:
    """Thumbnails behind the protocol `Sketches`."""

    thumbnails: Thumbnails

    @classmethod
    def measure(cls, pieces: Sequence[Piece], spill: Place) -> "PictureSketches":
        """Measure thumbnails, which lie on disk meanwhile."""
        return cls(Thumbnails.measure(spill.lay(pieces, (SIDE_PX, SIDE_PX))))

    def find_alike(self, numbers: Ints, kinds: Ints, *, correlation: float, turns: bool) -> Alike:
        """Find all pairs among some of them: see `find_alike`."""
        return find_alike(self.thumbnails, numbers, kinds, correlation=correlation, turns=turns)

    def likeness(self, number: int, others: Ints) -> Floats:
        """Correlate one with others, each in the best of all orientations."""
        rows = np.full(len(others), number)
        turned = [self.thumbnails.correlation(rows, others, turn) for turn in range(len(TURNS))]
        return np.asarray(np.stack(turned).max(axis=0))


def find_alike(
    thumbnails: Thumbnails, numbers: Ints, kinds: Ints, *, correlation: float, turns: bool
) -> Alike:
    """Find all pairs whose correlation is `correlation` or more and that differ at no place.

    Args:
        thumbnails: All there are.
        numbers: Of those to search among, rising; the pairs hold these numbers.
        kinds: Of all thumbnails, such as their labels.
        correlation: At least so much, 0..1.
        turns: Compare all eight orientations; a pair counts in the best one.
    """
    has_contrast = thumbnails.deviations[numbers] >= MIN_CONTRAST * CELLS
    different, equal = _part_equal(thumbnails.pixels, numbers[has_contrast], kinds)
    search = _Search(thumbnails, different, correlation)
    hung = search.hang(kinds[different])
    found, crowded = [equal, hung], [hung["second"].to_numpy()]
    if len(hung):
        search = _Search(thumbnails, np.setdiff1d(different, crowded[0]), correlation)
    for turn in range(len(TURNS) if turns else 1):
        for pairs, cut in search.run(turn):
            found.append(pairs)
            crowded.append(cut)
    return Alike(
        join_pairs(found),
        flat=int((~has_contrast).sum()),
        crowded=len(np.unique(np.concatenate(crowded))),
    )


@dataclass(frozen=True)
class _Search:
    """Some thumbnails, all different and with contrast."""

    thumbnails: Thumbnails
    numbers: Ints
    """Of those that take part, rising."""
    correlation: float

    def radius(self) -> float:
        """Return the distance within which normalized thumbnails correlate enough."""
        return float(np.sqrt(2.0 - 2.0 * self.correlation)) + _SLACK

    def lowest(self, frequencies: int, kind: npt.DTypeLike) -> npt.NDArray[Any]:
        """Return the lowest frequencies of all, as `_lowest` does; made block by block."""
        n = len(self.numbers)
        found = np.empty((n, frequencies * (frequencies + 1) // 2 - 1), dtype=kind)
        for block in blocks(n):
            found[block] = _lowest(_spectra(self.thumbnails, self.numbers[block]), 0, frequencies)
        return found

    def confirm(self, first: Ints, second: Ints, turn: int) -> pd.DataFrame:
        """Keep the candidates that both measures accept."""
        values = self.thumbnails.are_alike(first, second, turn=turn, correlation=self.correlation)
        kept = ~np.isnan(values)
        return _pairs(first[kept], second[kept], values[kept], turn)

    def hang(self, kinds: Ints) -> pd.DataFrame:
        """Where many lie at one place, pair those that are like the first with it.

        A place is a cell of a grid over the coarsest frequencies, and one kind. Thumbnails that are
        unlike the first one of their place are asked about the first of the remaining ones, a few
        times.
        """
        cells = np.floor(self.lowest(_COARSE_FREQUENCIES, np.float32) / self.radius())
        rows = np.column_stack([cells.astype(np.int32), kinds.view(np.int32).reshape(-1, 2)])
        _, places = np.unique(rows, axis=0, return_inverse=True)
        places, asking = places.reshape(-1), self.numbers
        hung = [_pairs(asking[:0], asking[:0], np.zeros(0), 0)]
        for _ in range(_ROUNDS):
            is_many = (np.bincount(places, minlength=1) > NEAREST)[places]
            asking, places = asking[is_many], places[is_many]
            _, first, which = np.unique(places, return_index=True, return_inverse=True)
            hooks = asking[first]
            others = np.setdiff1d(np.arange(len(asking)), first)
            hung.append(self.confirm(hooks[which[others]], asking[others], 0))
            rest = others[~np.isin(asking[others], hung[-1]["second"])]
            asking, places = asking[rest], places[rest]
        return pd.concat(hung)

    def run(self, turn: int) -> Iterator[tuple[pd.DataFrame, Ints]]:
        """Yield the pairs of one orientation, block by block, and the numbers of crowded ones."""
        from scipy.spatial import cKDTree  # slow to import, and not every run comes here

        n = len(self.numbers)
        if n < 2:
            return
        tree = cKDTree(self.lowest(_FREQUENCIES, np.float64))
        for block in blocks(n):
            _, near = tree.query(
                _lowest(_spectra(self.thumbnails, self.numbers[block]), turn, _FREQUENCIES),
                k=min(NEAREST + 1, n),
                distance_upper_bound=self.radius(),
                workers=-1,
            )
            rows = np.arange(n)[block]
            row, place = np.nonzero((near < n) & (near != rows[:, np.newaxis]))
            ends = self.numbers[rows[row]], self.numbers[near[row, place]]
            is_cut = (near[:, -1] < n) & (n > NEAREST + 1)
            yield self.confirm(*ends, turn), self.numbers[rows[is_cut]]


def _part_equal(pixels: Pixels, numbers: Ints, kinds: Ints) -> tuple[Ints, pd.DataFrame]:
    """Return the first of equal thumbnails of one kind, and the pairs of the others with it."""
    digests = np.empty((len(numbers), 2), dtype=np.uint64)
    for row, number in enumerate(numbers):
        content = pixels[number].tobytes() + kinds[number].tobytes()
        digests[row] = np.frombuffer(hashlib.sha256(content).digest()[:16], dtype=np.uint64)
    order = np.lexsort(digests.T)  # of equal ones the first stays the first
    is_new = np.ones(len(order), dtype=bool)
    is_new[1:] = (digests[order[1:]] != digests[order[:-1]]).any(axis=1)
    head = np.empty_like(order)
    head[order] = order[is_new][is_new.cumsum() - 1]
    others = np.flatnonzero(head != np.arange(len(order)))
    equal = _pairs(numbers[head[others]], numbers[others], np.ones(len(others)), 0)
    return numbers[np.sort(order[is_new])], equal


def _pairs(first: Ints, second: Ints, correlation: Floats, turn: int) -> pd.DataFrame:
    """Return pairs with the smaller number first, and the turn that belongs to this order."""
    return pd.DataFrame(
        {
            "first": np.minimum(first, second),
            "second": np.maximum(first, second),
            "correlation": correlation,
            "turn": np.where(first < second, turn, INVERSE_TURNS[turn]).astype(np.int64),
        }
    )


def _spectra(thumbnails: Thumbnails, numbers: Ints) -> npt.NDArray[np.float32]:
    """Return the lowest frequencies of normalized thumbnails: [., frequency, frequency]."""
    cells, waves = np.arange(SIDE_PX), np.arange(_FREQUENCIES)[:, np.newaxis]
    cosines = np.cos(np.pi / SIDE_PX * (cells + 0.5) * waves) * np.sqrt(2.0 / SIDE_PX)
    cosines[0] = np.sqrt(1.0 / SIDE_PX)
    # Of unit norm: the sum of squared differences from the mean is deviations**2 / cells.
    norms = thumbnails.deviations[numbers] / np.sqrt(CELLS)
    spectra = np.zeros((len(numbers), _FREQUENCIES, _FREQUENCIES), dtype=np.float32)
    for block in blocks(len(numbers)):
        values = cosines @ thumbnails.pixels[numbers[block]].astype(np.float64) @ cosines.T
        spectra[block] = values / norms[block, np.newaxis, np.newaxis]
    return spectra


def _lowest(
    spectra: npt.NDArray[np.float32], turn: int, frequencies: int
) -> npt.NDArray[np.float32]:
    """Return the lowest frequencies, without the mean, as of turned thumbnails: [N, .]."""
    waves = np.arange(_FREQUENCIES)
    sums = waves + waves[:, np.newaxis]
    signs = np.where(waves % 2, -1.0, 1.0).astype(np.float32)
    turned = spectra.swapaxes(1, 2) if turn & 4 else spectra
    if turn & 1:
        turned = turned * signs
    if turn & 2:
        turned = turned * signs[:, np.newaxis]
    return np.ascontiguousarray(turned[:, (sums > 0) & (sums < frequencies)])
