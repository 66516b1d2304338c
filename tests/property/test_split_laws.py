"""An item's split depends on itself alone, groups hold together, and shares are those asked for."""

import math
from collections import Counter

import pandas as pd
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.data.split import SplitParams, assign_splits, draw_split

PIXELS = st.text("0123456789abcdef", min_size=8, max_size=8)
GROUPS = st.none() | st.text(min_size=1, max_size=3)
ITEMS = st.lists(st.tuples(PIXELS, GROUPS), min_size=1, max_size=30)
SEEDS = st.integers(0, 2**63 - 1)


@st.composite
def fractions(draw):
    """Give params with any fractions that sum to 1."""
    parts = [draw(st.integers(1, 100)) for _ in range(3)]
    train, val = parts[0] / sum(parts), parts[1] / sum(parts)
    return SplitParams(seed=draw(SEEDS), train=train, val=val, test=1.0 - train - val)


def table(items):
    rows = [(str(number), None, group, pixels) for number, (pixels, group) in enumerate(items)]
    return pd.DataFrame(rows, columns=["path", "split", "group", "pixel_hash"]).astype("str")


@settings(deadline=None)
@given(ITEMS, ITEMS, fractions(), st.randoms(use_true_random=False))
def test_other_items_and_their_order_change_nothing(items, others, params, random):
    alone = dict(zip(items, assign_splits(table(items), params), strict=True))
    mixed = items + others
    random.shuffle(mixed)
    together = dict(zip(mixed, assign_splits(table(mixed), params), strict=True))
    assert {item: together[item] for item in alone} == alone


@settings(deadline=None)
@given(ITEMS, fractions())
def test_a_group_never_crosses_splits(items, params):
    splits = assign_splits(table(items), params)
    seen = {}
    for (_, group), split in zip(items, splits, strict=True):
        assert group is None or seen.setdefault(group, split) == split


@settings(deadline=None)
@given(PIXELS, fractions(), st.data())
def test_a_larger_train_share_takes_items_and_gives_none_away(pixels, params, data):
    # What makes `split.train` safe to raise: no train item becomes a test item.
    more = data.draw(st.floats(params.train, 1.0 - params.val, exclude_max=True))
    rest = 1.0 - more - params.val
    if rest <= 0.0:
        return
    wider = SplitParams(seed=params.seed, train=more, val=params.val, test=rest)
    if draw_split(pixels, None, params) == "train":
        assert draw_split(pixels, None, wider) == "train"


@settings(max_examples=25, deadline=None)
@given(fractions())
def test_shares_are_those_of_the_params(params):
    n = 2000
    counts = Counter(draw_split(f"{number:x}", None, params) for number in range(n))
    for split in ("train", "val", "test"):
        share = getattr(params, split)
        assert abs(counts[split] - n * share) <= 6 * math.sqrt(n * share * (1 - share)) + 1
