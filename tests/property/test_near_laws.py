"""Near-duplicates cost items their place and never their split, whatever else is there."""

from functools import cache

import numpy as np
import pandas as pd
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.clean.near import find_near_duplicates
from pipeline.manifest.params import SplitParams
from pipeline.manifest.split import NOT_GIVEN, assign_splits
from tests.support.near import near_rule
from tests.support.scenes import scene, small

PARAMS = SplitParams(seed=1, train=0.5, val=0.2, test=0.3, missing="carve", small_classes="train")
RULE = near_rule("drop", correlation=0.997, turns=False, task="classification")
PROTECTION = {"train": 0, "val": 1, "test": 2}

# A picture by (scene, step): steps of one scene are a chain, in which only near ones are alike.
ITEMS = st.lists(st.tuples(st.integers(0, 3), st.integers(0, 5)), unique=True, max_size=14)


ALONE = (9, 0)
"""Like no other, and in train: the class keeps an item there whatever else must go."""


@cache
def picture(place, step):
    one, other = (small(scene(10 * place + end)).astype(float) for end in (1, 2))
    return np.rint(one + 0.06 * step * (other - one)).astype(np.uint8).tobytes()


def table(items):
    rows = [
        {
            "path": f"{place}-{step}",
            "split": None,
            "group": None,
            "label": "x",
            "content_hash": f"{place}{step}",
            "sketch": picture(place, step),
        }
        for place, step in items
    ]
    names = ["path", "split", "group", "label", "content_hash", "sketch"]
    made = pd.DataFrame(rows, columns=names).astype(dict.fromkeys(names[:-1], "str"))
    made["split"] = assign_splits(made, PARAMS, {NOT_GIVEN: ("train", "val", "test")})
    return made


def settle(items, wanted=()):
    rows = table(items)
    near = find_near_duplicates(rows, RULE, rows["path"].isin(wanted))
    lost = {each.path for each in near.dropped}
    splits = dict(zip(rows["path"], rows["split"], strict=True))
    return near, {path: split for path, split in splits.items() if path not in lost}, splits


@settings(deadline=None, max_examples=60)
@given(ITEMS, ITEMS)
def test_no_item_changes_its_split_when_others_come_or_go(items, others):
    _, alone, _ = settle(items)
    _, together, _ = settle(list(dict.fromkeys(items + others)))
    assert all(together[path] == split for path, split in alone.items() if path in together)


@settings(deadline=None, max_examples=60)
@given(ITEMS, st.randoms(use_true_random=False))
def test_the_order_of_items_changes_nothing(items, random):
    shuffled = list(items)
    random.shuffle(shuffled)
    one, other = settle(items)[0], settle(shuffled)[0]
    assert one.pairs.equals(other.pairs)
    assert [(each.path, each.detail) for each in one.dropped] == [
        (each.path, each.detail) for each in other.dropped
    ]


@settings(deadline=None, max_examples=60)
@given(ITEMS)
def test_what_stays_does_not_leak_and_what_goes_had_a_reason(items):
    items = [*items, ALONE]
    near, kept, splits = settle(items)
    again = find_near_duplicates(
        rows := table([item for item in items if f"{item[0]}-{item[1]}" in kept]),
        RULE,
        pd.Series(data=False, index=rows.index),
    )
    assert again.leaks.empty
    assert list(again.dropped) == []
    for each in near.dropped:
        place = each.path.split("-")[0]
        assert any(
            PROTECTION[splits[path]] > PROTECTION[each.split]
            for path in kept
            if path.startswith(f"{place}-")
        )
    assert not any(each.split == "test" for each in near.dropped)


@settings(deadline=None, max_examples=60)
@given(ITEMS, st.sets(st.integers(0, 13), max_size=3))
def test_what_a_person_wants_stays_and_costs_others_nothing(items, places):
    items = [*items, ALONE]
    wanted = {
        f"{place}-{step}" for place, step in (items[each] for each in places if each < len(items))
    }
    _, kept, _ = settle(items)
    near, kept_too, _ = settle(items, wanted)
    assert set(kept_too) == set(kept) | wanted
    assert {each.path for each in near.wanted} == wanted - set(kept)
