"""Which texts are nearly the same, found without comparing each with each.

The measure is that of Jaccard: common pieces over all pieces. Two texts of n pieces or more that
share at least a part c of all must share one of the n - ceil(c n) + 1 rarest of each, in any one
order of pieces: so candidates are those that meet at such a piece (prefix filtering: Chaudhuri,
Ganti and Kaushik 2006; Bayardo, Ma and Srikant 2007). No pair is missed, but for two shortcuts that
bound time, and still connect what belongs together. Of equal sketches of one kind only the first is
searched. Where many have one smallest hash, those that are like the first of them hang on it. Texts
whose candidates were not all looked at are counted.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from pipeline.modality.types.alike import Alike, join_pairs
from pipeline.store.spill import Piece, Place
from pipeline.text.read.shingles import FILL, SIZE, Hashes

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]
Bits = npt.NDArray[np.uint64]

MOST_CANDIDATES = 40_000_000
"""Looked at in one search."""

_MANY = 64
"""Texts with one smallest hash, from which on they hang on the first."""

_ROUNDS = 4
"""How often the first of many is taken as the one to hang on."""

_BLOCK = 4_096
_RARITY_BITS = 20
_WORDS = 8
"""Of 64 bits, in which the hashes of a text leave a mark."""

_LAST = np.iinfo(np.uint64).max


@dataclass(frozen=True)
class TextSketches:
    """Sketches of texts behind the protocol `Sketches`."""

    hashes: Hashes
    """[N, `SIZE`]: of each text, ascending; `FILL` behind them."""
    sizes: Ints
    """[N]: how many are no `FILL`."""

    @classmethod
    def measure(cls, pieces: Sequence[Piece], spill: Place) -> "TextSketches":
        """Measure sketches, which lie on disk meanwhile."""
        hashes = spill.lay(pieces, (4 * SIZE,)).view("<u4")
        sizes = np.zeros(len(hashes), dtype=np.int64)
        for start in range(0, len(hashes), _BLOCK):
            block = slice(start, start + _BLOCK)
            sizes[block] = (hashes[block] != FILL).sum(axis=1)
        return cls(hashes, sizes)

    def find_alike(self, numbers: Ints, kinds: Ints, *, correlation: float) -> Alike:
        """Find all pairs among some texts whose share of common pieces is `correlation` or more.

        Args:
            numbers: Of those to search among, rising; the pairs hold these numbers.
            kinds: Of all texts, such as their labels.
            correlation: At least so much, 0..1.
        """
        whole = numbers[self.sizes[numbers] > 0]
        different, equal = self._part_equal(whole, kinds)
        hung = self._hang(different, kinds, correlation)
        rest = np.setdiff1d(different, hung["second"].to_numpy())
        met, cut = self._meet(rest, correlation)
        crowded = np.union1d(hung["second"].to_numpy(), cut)
        return Alike(
            join_pairs([equal, hung, met]), flat=len(numbers) - len(whole), crowded=len(crowded)
        )

    def likeness(self, number: int, others: Ints) -> Floats:
        """Return the share of common pieces of one text with others."""
        return self.jaccard(np.full(len(others), number), others)

    def jaccard(self, first: Ints, second: Ints) -> Floats:
        """Return the share of common pieces of pairs.

        Both sketches have all hashes up to the last one of the shorter sample: there they are
        compared, and that is the whole of both where neither is a sample.
        """
        found = np.zeros(len(first))
        for start in range(0, len(first), _BLOCK):
            block = slice(start, start + _BLOCK)
            ends = first[block], second[block]
            width = max(1, *(int(self.sizes[each].max()) for each in ends))
            one, two = (self.hashes[each, :width] for each in ends)
            last = np.full(len(one), FILL - np.uint32(1))
            if width == SIZE:
                last = np.minimum(last, np.minimum(one[:, -1], two[:, -1]))
            merged = np.sort(np.concatenate([one, two], axis=1), axis=1)
            is_in = merged <= last[:, np.newaxis]
            common = ((merged[:, 1:] == merged[:, :-1]) & is_in[:, 1:]).sum(axis=1)
            found[block] = common / np.maximum(is_in.sum(axis=1) - common, 1)
        return found

    def _confirm(self, first: Ints, second: Ints, correlation: float) -> pd.DataFrame:
        values = self.jaccard(first, second)
        kept = values >= correlation
        return _pairs(first[kept], second[kept], values[kept])

    def _part_equal(self, numbers: Ints, kinds: Ints) -> tuple[Ints, pd.DataFrame]:
        """Return the first of equal sketches of one kind, and the pairs of the others with it."""
        names = [self.hashes[each].tobytes() + kinds[each].tobytes() for each in numbers]
        codes, _ = pd.factorize(np.array(names, dtype=np.object_))
        _, first = np.unique(codes, return_index=True)
        others = np.setdiff1d(np.arange(len(codes)), first)
        hooks = numbers[first[codes[others]]]
        return numbers[first], _pairs(hooks, numbers[others], np.ones(len(others)))

    def _hang(self, numbers: Ints, kinds: Ints, correlation: float) -> pd.DataFrame:
        """Where many of one kind have one smallest hash, pair those that are like the first."""
        keys = np.column_stack([self.hashes[numbers, 0].astype(np.int64), kinds[numbers]])
        _, places = np.unique(keys, axis=0, return_inverse=True)
        places, asking = places.reshape(-1), numbers
        hung = [_pairs(numbers[:0], numbers[:0], np.zeros(0))]
        for _ in range(_ROUNDS):
            is_many = (np.bincount(places, minlength=1) > _MANY)[places]
            asking, places = asking[is_many], places[is_many]
            _, first, which = np.unique(places, return_index=True, return_inverse=True)
            others = np.setdiff1d(np.arange(len(asking)), first)
            hung.append(self._confirm(asking[first[which[others]]], asking[others], correlation))
            rest = others[~np.isin(asking[others], hung[-1]["second"])]
            asking, places = asking[rest], places[rest]
        return pd.concat(hung)

    def _meet(self, numbers: Ints, correlation: float) -> tuple[pd.DataFrame, Ints]:
        """Return all pairs that meet at a rare piece, and the texts that could not meet all."""
        numbers = numbers[np.argsort(self.sizes[numbers], kind="stable")]
        pieces, texts = self._rarest(numbers, correlation)
        order = np.argsort(pieces, kind="stable")  # of one piece, texts of rising size
        pieces, texts = pieces[order], texts[order]
        sizes, marks = self.sizes[numbers], self._marks(numbers)
        found = [np.zeros(0, dtype=np.int64)]
        asking, step, looked = np.arange(len(pieces)), 0, 0
        while len(asking) and looked < MOST_CANDIDATES:
            step += 1
            asking = asking[asking + step < len(pieces)]
            other = asking + step
            # Both conditions fail for all further ones once they fail: sizes rise.
            is_on = (pieces[asking] == pieces[other]) & (
                sizes[texts[asking]] >= correlation * sizes[texts[other]]
            )
            asking, other = asking[is_on], other[is_on]
            looked += len(asking)
            for block in _blocks(len(asking)):
                one, two = texts[asking[block]], texts[other[block]]
                kept = _may_share(marks, sizes, one, two, correlation)
                found.append(one[kept] * len(numbers) + two[kept])
        one, two = np.divmod(np.unique(np.concatenate(found)), max(len(numbers), 1))
        pairs = self._confirm(numbers[one], numbers[two], correlation)
        return pairs, numbers[np.unique(texts[asking])]

    def _rarest(self, numbers: Ints, correlation: float) -> tuple[Bits, Ints]:
        """Return the pieces at which texts meet, each with its text's place in `numbers`."""
        counts = np.zeros(1 << _RARITY_BITS, dtype=np.int64)
        shift = np.uint32(32 - _RARITY_BITS)
        for block in _blocks(len(numbers)):
            counts += np.bincount(
                (self.hashes[numbers[block]] >> shift).ravel(), minlength=len(counts)
            )
        pieces, texts = [np.zeros(0, dtype=np.uint64)], [np.zeros(0, dtype=np.int64)]
        for block in _blocks(len(numbers)):
            sizes = self.sizes[numbers[block]]
            hashes = self.hashes[numbers[block], : int(sizes.max())]
            ranked = (counts[hashes >> shift].astype(np.uint64) << np.uint64(32)) | hashes
            ranked[hashes == FILL] = _LAST
            ranked.sort(axis=1)
            needed = sizes - np.ceil(correlation * sizes - 1e-9).astype(np.int64) + 1
            is_rare = np.arange(ranked.shape[1]) < needed[:, np.newaxis]
            row, _ = np.nonzero(is_rare)
            pieces.append(ranked[is_rare])
            texts.append(row + block.start)
        return np.concatenate(pieces), np.concatenate(texts)

    def _marks(self, numbers: Ints) -> Bits:
        """Return in which of some bits the hashes of texts fall: uint64 [., `_WORDS`]."""
        marks = np.zeros((len(numbers), _WORDS), dtype=np.uint64)
        for block in _blocks(len(numbers)):
            hashes = self.hashes[numbers[block]]
            places = hashes % np.uint32(64 * _WORDS)
            is_set = np.zeros((len(hashes), 64 * _WORDS), dtype=np.bool_)
            row, column = np.nonzero(hashes != FILL)
            is_set[row, places[row, column]] = True
            marks[block] = np.packbits(is_set, axis=1).view(np.uint64)
        return marks


def _may_share(marks: Bits, sizes: Ints, one: Ints, two: Ints, correlation: float) -> Bools:
    """Return which pairs may share enough: each mark of one alone is a piece of one alone."""
    apart = np.bitwise_count(marks[one] ^ marks[two]).sum(axis=1, dtype=np.int64)
    both = sizes[one] + sizes[two]
    is_whole = (sizes[one] < SIZE) & (sizes[two] < SIZE)
    needed = np.where(is_whole, correlation / (1.0 + correlation) * both, correlation * SIZE)
    return np.asarray((both - apart) >= 2.0 * needed - 1e-6)


def _blocks(n: int) -> Iterator[slice]:
    return (slice(start, min(start + _BLOCK, n)) for start in range(0, n, _BLOCK))


def _pairs(first: Ints, second: Ints, correlation: Floats) -> pd.DataFrame:
    """Return pairs with the smaller number first."""
    return pd.DataFrame(
        {
            "first": np.minimum(first, second),
            "second": np.maximum(first, second),
            "correlation": correlation,
            "turn": np.zeros(len(first), dtype=np.int64),
        }
    )
