"""An item's split depends on itself alone, groups hold together, and shares are those asked for.

Where splits are carved, it depends on the given one too; a class without any item in train changes
that for one of its own items, and for nothing else.
"""

import math
from collections import Counter

import pandas as pd
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.manifest.manifest import SPLITS
from pipeline.manifest.params import SplitParams
from pipeline.manifest.pins import Pin
from pipeline.manifest.small_classes import place_small_classes
from pipeline.manifest.split import NOT_GIVEN, assign_splits, draw_split, plan_splits

PIXELS = st.text("0123456789abcdef", min_size=8, max_size=8)
GROUPS = st.none() | st.text(min_size=1, max_size=3)
ITEMS = st.lists(st.tuples(PIXELS, GROUPS), min_size=1, max_size=30)
SEEDS = st.integers(0, 2**63 - 1)
REST = {"missing": "carve", "small_classes": "train"}
DRAWN = {NOT_GIVEN: SPLITS}


@st.composite
def fractions(draw):
    """Give params with any fractions that sum to 1."""
    parts = [draw(st.integers(1, 100)) for _ in range(3)]
    train, val = parts[0] / sum(parts), parts[1] / sum(parts)
    return SplitParams(seed=draw(SEEDS), train=train, val=val, test=1.0 - train - val, **REST)


def table(items):
    rows = [(str(number), None, group, pixels) for number, (pixels, group) in enumerate(items)]
    return pd.DataFrame(rows, columns=["path", "split", "group", "content_hash"]).astype("str")


@settings(deadline=None)
@given(ITEMS, ITEMS, fractions(), st.randoms(use_true_random=False))
def test_other_items_and_their_order_change_nothing(items, others, params, random):
    alone = dict(zip(items, assign_splits(table(items), params, DRAWN), strict=True))
    mixed = items + others
    random.shuffle(mixed)
    together = dict(zip(mixed, assign_splits(table(mixed), params, DRAWN), strict=True))
    assert {item: together[item] for item in alone} == alone


@settings(deadline=None)
@given(ITEMS, fractions())
def test_a_group_never_crosses_splits(items, params):
    splits = assign_splits(table(items), params, DRAWN)
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
    wider = SplitParams(seed=params.seed, train=more, val=params.val, test=rest, **REST)
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


CARVED = st.sampled_from([["train", "test"], ["train", "val"], ["train"]])
LABELED = st.lists(
    st.tuples(PIXELS, st.none() | st.sampled_from("xyz"), st.sampled_from("abcde")),
    min_size=1,
    max_size=25,
)


def labeled(items, splits=(None,)):
    """Make rows of (pixels, group, label), equal pixels once; a group has one class and one split.

    Of `splits`, an item has one that depends on its group, or on its pixels without one.
    """
    named = {pixels: (group and group + label, label) for pixels, group, label in items}
    rows = [
        (pixels, pixels, pixels, label, group, splits[sum(map(ord, group or pixels)) % len(splits)])
        for pixels, (group, label) in named.items()
    ]
    names = ["path", "id", "content_hash", "label", "group", "split"]
    return pd.DataFrame(rows, columns=names).astype("str")


def place(rows, params, pins=None, dealing=DRAWN):
    """Return what `place_small_classes` finds, and the split of each path."""
    made = rows.assign(
        given=rows["split"], split=assign_splits(rows, params, dealing), status="kept"
    )
    placed = place_small_classes(made, params, dealing, pins or {}, is_classification=True)
    return placed, dict(zip(rows["path"], placed.splits, strict=True))


@settings(max_examples=25, deadline=None)
@given(LABELED, LABELED, fractions(), CARVED)
def test_what_is_carved_never_moves_when_data_grow(items, more, params, names):
    dealing, _ = plan_splits(pd.Series(names, dtype="str"), params)
    before, after = (
        dict(zip(rows["path"], assign_splits(rows, params, dealing), strict=True))
        for rows in (labeled(items, names), labeled(more + items, names))
    )
    assert {path: after[path] for path in before} == before


@settings(max_examples=25, deadline=None)
@given(LABELED, fractions(), CARVED, st.randoms(use_true_random=False))
def test_every_class_that_may_go_to_train_is_there_in_any_order(items, params, names, random):
    rows = labeled(items, names)
    dealing, _ = plan_splits(pd.Series(names, dtype="str"), params)
    _, splits = place(rows, params, dealing=dealing)
    now = rows["path"].map(splits)
    assert set(rows["label"][now == "train"]) == set(rows["label"][rows["split"] == "train"])
    assert rows.assign(now=now)[["group", "now"]].dropna().drop_duplicates()["group"].is_unique
    order = list(rows.index)
    random.shuffle(order)
    assert place(rows.loc[order], params, dealing=dealing)[1] == splits


@settings(max_examples=25, deadline=None)
@given(LABELED, LABELED, fractions())
def test_growth_moves_what_was_placed_and_not_even_that_once_it_is_pinned(items, more, params):
    alone, grown = labeled(items), labeled(more + items)
    placed, before = place(alone, params)
    _, after = place(grown, params)
    moved = {path for path, split in before.items() if after[path] != split}
    assert moved <= {each["path"] for each in placed.moved}
    pins = {each["id"]: Pin(each["split"], "row", each["path"]) for each in placed.moved}
    _, after = place(grown, params, pins)
    assert {path: after[path] for path in before} == before
    assert place(alone, params, pins)[1] == before


@settings(max_examples=25, deadline=None)
@given(LABELED, LABELED, fractions())
def test_growth_moves_nothing_where_small_classes_are_left_out(items, more, params):
    params = params.model_copy(update={"small_classes": "drop"})
    used = []
    for rows in (labeled(items), labeled(more + items)):
        placed, splits = place(rows, params)
        gone = set(rows["path"].loc[list(placed.dropped)])
        used.append({path: split for path, split in splits.items() if path not in gone})
    assert {path: used[1].get(path) for path in used[0]} == used[0]
