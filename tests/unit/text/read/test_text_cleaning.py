"""The judges of `clean` work on texts: copies, conflicts, near-duplicates, groups, splits."""

from collections import defaultdict

import pandas as pd
import pytest

from pipeline.clean.near import find_near_duplicates
from pipeline.clean.probe_cache import read_probes, write_probes
from pipeline.ground.errors import DataError
from pipeline.manifest.manifest import read_manifest, write_manifest
from pipeline.manifest.split import draw_split
from pipeline.modality import facts
from pipeline.text.read.probe import TextLook
from tests.support.texts import SPLIT, clean_texts, many_texts, text_rule, words


@pytest.fixture(autouse=True)
def _is_a_modality(monkeypatch):
    monkeypatch.setattr(facts, "MODALITIES", ("picture", "text"))


def by_path(cleaned):
    return {row["path"]: row for row in cleaned.manifest.to_dict("records")}


def spelled_otherwise(text):
    return f"  {text.upper()}\u200b \n"


def test_every_item_has_a_row_and_a_reason(tmp_path):
    rows = [
        *many_texts(),
        ("bad/latin.txt", b"caf\xe9 au lait", "bad"),
        ("bad/nothing.txt", b"", "bad"),
        ("bad/blank.txt", b"\0\0", "bad"),
        ("bad/short.txt", "no", "bad"),
        ("bad/long.txt", "long " * 400, "bad"),
        ("bad/zh.txt", "味道不错", "good"),
        ("none.txt", "nobody labeled this", None),
    ]
    cleaned = clean_texts(
        tmp_path / "raw", rows, min_chars=4, max_chars=1_000, language=["en"], near_duplicates="off"
    )
    found = by_path(cleaned)
    assert len(found) == len(rows)
    assert {path: row["reason"] for path, row in found.items() if row["status"] != "kept"} == {
        "bad/latin.txt": "not_utf8",
        "bad/nothing.txt": "empty",
        "bad/blank.txt": "unprintable",
        "bad/short.txt": "too_short",
        "bad/long.txt": "too_long",
        "bad/zh.txt": "other_language",
        "none.txt": "no_label",
    }
    assert cleaned.report["lengths"]["words"]["median"] == 12.0
    assert sum(cleaned.report["languages"].values()) == 60
    write_manifest(tmp_path / "manifest.parquet", cleaned.manifest)
    again = read_manifest(tmp_path / "manifest.parquet")
    pd.testing.assert_frame_equal(again, cleaned.manifest)


def test_one_text_with_two_labels_is_a_conflict_and_with_one_a_duplicate(tmp_path):
    rows = [
        *many_texts(),
        ("a.txt", "Just the same words", "bad"),
        ("b.txt", spelled_otherwise("just the same words"), "good"),
        ("c.txt", "Said twice &amp; more", "bad"),
        ("d.txt", "said twice & more", "bad"),
    ]
    found = by_path(clean_texts(tmp_path, rows))
    assert [found[f"{name}.txt"]["reason"] for name in "ab"] == ["conflict", "conflict"]
    assert found["c.txt"]["status"] == "kept"
    assert found["d.txt"]["reason"] == "duplicate"


def test_equal_keys_never_straddle_splits(tmp_path):
    """Whatever became of copies, all that is left of a key is in one split, by seed after seed."""
    texts = [words(number % 40) for number in range(120)]
    for seed in range(1, 6):
        split = SPLIT.model_copy(update={"seed": seed})
        rows = [
            (f"{place:03}.txt", text if place % 3 else spelled_otherwise(text), "ab"[place % 2])
            for place, text in enumerate(texts)
        ]
        look, splits = TextLook(mask_digits=False), defaultdict(set)
        for _, text, _ in rows:
            key = look.probe(text.encode(), "").content_hash
            splits[key].add(draw_split(key, None, split))
        assert len(splits) == 40
        assert all(len(each) == 1 for each in splits.values())
        assert set().union(*splits.values()) == {"train", "val", "test"}
        cleaned = clean_texts(tmp_path / str(seed), rows, split=split)
        kept = cleaned.table[cleaned.table["status"] == "kept"]
        assert kept.groupby("content_hash")["split"].nunique().max() == 1
        assert kept["content_hash"].is_unique


def test_masked_digits_are_one_key_in_one_split(tmp_path):
    rows = [
        *many_texts(),
        *((f"n{number}.txt", f"Call {number}{number + 3} now", "bad") for number in range(6)),
    ]
    found = clean_texts(tmp_path / "masked", rows[-6:] + _letters(), mask_digits=True)
    assert found.report["reasons"]["duplicate"] == 5
    found = clean_texts(tmp_path / "plain", rows, near_duplicates="off")
    assert "duplicate" not in found.report["reasons"]


def _letters():
    alphabet = "abcdefghijklmnopqrstuvwxyz"
    return [
        (f"{one}{two}.txt", f"{one * 4} {two * 5} {one}{two} {two}{one}{one}", label)
        for one, label in zip(alphabet[:8], ("bad", "good") * 4, strict=True)
        for two in alphabet[8:16]
    ]


def test_a_copy_in_two_given_splits_is_a_leak(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    splits = ("train", "train", "val", "test")
    rows = [(*row, splits[place // 2 % 4]) for place, row in enumerate(many_texts())]
    leak = [("y.txt", "said in both", "bad", "train"), ("z.txt", "Said in BOTH", "bad", "test")]
    with pytest.raises(DataError, match="test"):
        clean_texts(tmp_path / "refuse", rows + leak)
    found = by_path(clean_texts(tmp_path / "drop", rows + leak, leaks="drop"))
    assert (found["y.txt"]["reason"], found["z.txt"]["status"]) == ("duplicate", "kept")
    near = [("y.txt", words(77), "bad", "train"), ("z.txt", f"{words(77)}!!", "bad", "test")]
    with pytest.raises(DataError, match="test"):
        clean_texts(tmp_path / "near", rows + near)
    found = by_path(clean_texts(tmp_path / "near-drop", rows + near, leaks="drop"))
    assert (found["y.txt"]["reason"], found["z.txt"]["status"]) == ("near_duplicate_of", "kept")


def test_near_duplicates_across_splits_go_and_those_with_two_labels_stay():
    look = TextLook(mask_digits=False)
    base = "the battery of this phone is empty after two hours of use"
    table = pd.DataFrame(
        [
            ("a", "train", "bad", base),
            ("b", "test", "bad", f"{base}!"),
            ("c", "train", "good", f"and {base}"),
            ("d", "train", "bad", "nothing like it, and in train"),
            ("e", "train", "good", "another one that is not like it"),
        ],
        columns=["path", "split", "label", "text"],
    )
    table["sketch"] = [look.probe(text.encode(), "").sketch for text in table["text"]]
    near = find_near_duplicates(table, text_rule(), pd.Series(data=False, index=table.index))
    assert [each.path for each in near.dropped] == ["a"]
    assert near.dropped[0].detail == "1.0000 alike to b in test"
    assert near.doubtful[["path_a", "path_b"]].values.tolist() == [["a", "c"]]
    assert near.leaks_left == 0


def test_groups_hold(tmp_path):
    rows = [(*row, None, f"g{place // 6}") for place, row in enumerate(many_texts(120))]
    cleaned = clean_texts(tmp_path, rows)
    kept = cleaned.manifest[cleaned.manifest["status"] == "kept"]
    assert kept.groupby("group")["split"].nunique().max() == 1
    assert kept["split"].nunique() == 3


def test_probes_are_known_again(tmp_path):
    cleaned = clean_texts(tmp_path / "raw", many_texts())
    write_probes(tmp_path / "probes.parquet", cleaned.probes, "text")
    assert read_probes(tmp_path / "probes.parquet", "text") == {
        str(each.id): each for each in cleaned.probes
    }
