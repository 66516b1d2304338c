"""Every kind of change of the data is found, named once as what it is, and told in text."""

import json
import tarfile
from dataclasses import replace
from io import BytesIO

import numpy as np
import pandas as pd
import pytest

from pipeline.diff.diff import compare_snapshots
from pipeline.diff.snapshots import CachedFiles, find_originals
from pipeline.diff.text import moved_line, render_diff
from pipeline.repo.cache import object_path
from tests.support.manifests import SETTINGS, manifest, row, snapshot
from tests.support.packed import packed
from tests.support.picturetables import write_table

KEYS = {
    "added",
    "changed",
    "classes",
    "columns",
    "compared",
    "from",
    "items",
    "moved",
    "params",
    "quarantined",
    "relabeled",
    "removed",
    "renamed",
    "repeats",
    "splits",
    "status",
    "status_changed",
    "to",
}
LISTS = (
    "added",
    "removed",
    "changed",
    "renamed",
    "relabeled",
    "status_changed",
    "repeats",
    "moved",
)
OLD = (row("a.png", "a"), row("b.png", "b", "dog", "val"), row("c.png", "c", "dog", "test"))


def found(diff):
    """Give the lists that are not empty, as paths."""
    return {name: [each["path"] for each in diff[name]] for name in LISTS if diff[name]}


def test_nothing_changed():
    diff = compare_snapshots(snapshot(*OLD), snapshot(*OLD))
    assert set(diff) == KEYS
    assert found(diff) == {}
    assert diff["quarantined"] == diff["columns"] == diff["params"] == {}
    assert diff["compared"] == 3
    text = render_diff(diff)
    assert "none of 3 items moved" in text
    assert "nothing else changed" in text


CHANGES = {
    "added": ((*OLD, row("d.png", "d")), {"added": ["d.png"]}),
    "removed": (OLD[1:], {"removed": ["a.png"]}),
    "other bytes": ((row("a.png", "x"), *OLD[1:]), {"changed": ["a.png"]}),
    "renamed": ((row("z/a.png", "a"), *OLD[1:]), {"renamed": ["z/a.png"]}),
    "relabeled": ((row("a.png", "a", "dog"), *OLD[1:]), {"relabeled": ["a.png"]}),
    "renamed into another class": (
        (row("dog/a.png", "a", "dog"), *OLD[1:]),
        {"renamed": ["dog/a.png"], "relabeled": ["dog/a.png"]},
    ),
    "other bytes and label": (
        (row("a.png", "x", "dog"), *OLD[1:]),
        {"changed": ["a.png"], "relabeled": ["a.png"]},
    ),
    "lost its label": (
        (row("a.png", "a", None, reason="no_label"), *OLD[1:]),
        {"relabeled": ["a.png"], "status_changed": ["a.png"]},
    ),
    "dropped by a person": (
        (row("a.png", "a", reason="review"), *OLD[1:]),
        {"status_changed": ["a.png"]},
    ),
    "moved": ((row("a.png", "a", split="test"), *OLD[1:]), {"moved": ["a.png"]}),
    "renamed and moved": (
        (row("z.png", "a", split="test"), *OLD[1:]),
        {"renamed": ["z.png"], "moved": ["z.png"]},
    ),
    "other bytes in another split": (
        (row("a.png", "x", split="test"), *OLD[1:]),
        {"changed": ["a.png"]},
    ),
    "swapped names": (
        (row("b.png", "a"), row("a.png", "b", "dog", "val"), OLD[2]),
        {"changed": ["a.png", "b.png"], "relabeled": ["a.png", "b.png"]},
    ),
}


@pytest.mark.parametrize(("rows", "expected"), CHANGES.values(), ids=CHANGES)
def test_every_change_is_found(rows, expected):
    diff = compare_snapshots(snapshot(*OLD), snapshot(*rows))
    assert found(diff) == expected
    assert json.loads(json.dumps(diff, allow_nan=False)) == diff
    text = render_diff(diff)
    for paths in expected.values():
        assert all(path in text for path in paths)
    back = compare_snapshots(snapshot(*rows), snapshot(*OLD))
    assert len(back["added"]) == len(diff["removed"])
    assert len(back["moved"]) == len(diff["moved"])


def test_what_is_listed_of_each():
    new = snapshot(
        row("a.png", "x", "dog", "val"),
        row("e.png", "c", "dog", "test"),
        row("d.png", "d", None, reason="no_label"),
    )
    diff = compare_snapshots(snapshot(*OLD), new)
    facts = {"width": 10, "height": 10, "mode": "RGB", "format": "PNG"}
    gone = {
        "path": "b.png",
        "id": "b" * 64,
        "label": "dog",
        "split": "val",
        "status": "kept",
        "reason": None,
        **facts,
    }
    come = {
        "path": "d.png",
        "id": "d" * 64,
        "label": None,
        "split": None,
        "status": "quarantined",
        "reason": "no_label",
        **facts,
    }
    assert diff["removed"] == [gone]
    assert diff["added"] == [come]
    assert diff["renamed"] == [{"path": "e.png", "old_path": "c.png", "id": "c" * 64}]
    assert diff["relabeled"] == [
        {
            "path": "a.png",
            "id": "x" * 64,
            "old": "cat",
            "new": "dog",
            "split": "val",
            **facts,
            "bytes": "changed",
        }
    ]
    (changed,) = diff["changed"]
    assert (changed["old"]["id"], changed["new"]["id"]) == ("a" * 64, "x" * 64)
    assert diff["items"] == {"old": 3, "new": 3}
    assert diff["status"]["quarantined"] == {"old": 0, "new": 1}
    assert diff["splits"]["train"] == {"old": 1, "new": 0}
    assert diff["classes"]["cat"]["train"] == {"old": 1, "new": 0}
    assert diff["classes"]["dog"]["val"] == {"old": 1, "new": 1}


def test_copies_are_paired_one_to_one():
    """Two of three copies are renamed; one is gone, and is not paired with anything."""

    def copies(*names):
        return snapshot(OLD[1], *(row(name, "a") for name in names))

    diff = compare_snapshots(copies("1.png", "2.png", "3.png"), copies("x.png", "y.png"))
    assert [(each["old_path"], each["path"]) for each in diff["renamed"]] == [
        ("1.png", "x.png"),
        ("2.png", "y.png"),
    ]
    assert [each["path"] for each in diff["removed"]] == ["3.png"]


def test_files_that_are_not_there_have_no_bytes_in_common():
    lost = {"mode": None, "format": None, "width": None, "height": None, "reason": "missing_file"}
    diff = compare_snapshots(
        snapshot(*OLD, row("x.png", None, **lost)), snapshot(*OLD, row("y.png", None, **lost))
    )
    assert found(diff) == {"removed": ["x.png"], "added": ["y.png"]}
    assert diff["quarantined"] == {"missing_file": ["y.png"]}
    same = compare_snapshots(
        snapshot(row("x.png", None, **lost)), snapshot(row("x.png", None, **lost))
    )
    assert found(same) == {}


def test_new_quarantines_by_reason():
    new = snapshot(
        row("a.png", "a", reason="conflict"),
        *OLD[1:],
        row("d.png", "a", "dog", reason="conflict"),
        row("e.png", "e", reason="too_small"),
    )
    diff = compare_snapshots(snapshot(*OLD), new)
    assert diff["quarantined"] == {"conflict": ["a.png", "d.png"], "too_small": ["e.png"]}
    again = compare_snapshots(new, new)
    assert again["quarantined"] == {}
    other = replace(new, manifest=new.manifest.replace({"reason": {"too_small": "aspect"}}))
    assert compare_snapshots(new, other)["quarantined"] == {"aspect": ["e.png"]}


def test_new_items_that_repeat_old_ones():
    new = snapshot(
        *OLD,
        row("d.png", "d"),
        row("e.png", "a", reason="duplicate"),
        row("f.png", "f", reason="duplicate"),
        row("g.png", "g", reason="duplicate"),
        row("h.png", "h", reason="duplicate"),
        originals={"e.png": "a.png", "f.png": "a.png", "g.png": "d.png"},
    )
    diff = compare_snapshots(snapshot(*OLD), new)
    assert [(each["path"], each["of"], each["of_old"]) for each in diff["repeats"]] == [
        ("e.png", "a.png", True),
        ("f.png", "a.png", True),
        ("g.png", "d.png", False),
        ("h.png", None, None),
    ]
    text = render_diff(diff)
    assert "new, and dropped: repeat what was there: 3" in text
    assert "e.png  duplicate  a.png" in text
    assert "new, and dropped: repeat one another: 1" in text
    assert compare_snapshots(new, new)["repeats"] == []


def test_an_old_item_under_a_new_name_was_there_before():
    new = snapshot(
        row("z.png", "a"),
        *OLD[1:],
        row("zz.png", "a", reason="duplicate"),
        originals={"zz.png": "z.png"},
    )
    diff = compare_snapshots(snapshot(*OLD), new)
    assert diff["repeats"] == [
        {"path": "zz.png", "reason": "duplicate", "of": "z.png", "of_old": True}
    ]


@pytest.mark.parametrize(
    ("rows", "settings", "why"),
    [
        ({"split": "test"}, {}, "its given split changed"),
        ({"split": "test", "group": "g"}, {}, "its group changed"),
        ({"split": "test"}, {"split": SETTINGS["split"] | {"seed": 2}}, "split.seed 1 -> 2"),
        (
            {"split": "val"},
            {"split": SETTINGS["split"] | {"train": 0.5, "val": 0.25}},
            "split.train 0.6 -> 0.5, split.val 0.15 -> 0.25",
        ),
    ],
)
def test_a_moved_split_is_loud_and_has_its_reason(rows, settings, why):
    diff = compare_snapshots(
        snapshot(*OLD), snapshot(row("a.png", "a", **rows), *OLD[1:], **settings)
    )
    (moved,) = diff["moved"]
    assert (moved["path"], moved["old"], moved["new"]) == ("a.png", "train", rows["split"])
    assert moved["why"] == why
    assert moved_line(diff) == f"1 of 3 items changed their split: {why} (1)"
    lines = render_diff(diff).splitlines()
    assert lines[2] == f"  !!! SPLITS MOVED: {moved_line(diff)}"


def test_what_is_dropped_on_one_side_moved_nowhere():
    """A copy in another split that is not used is no leak."""
    old = snapshot(*OLD, row("z.png", "z", split="test"))
    new = snapshot(*OLD, row("z.png", "z", reason="review"))
    assert compare_snapshots(old, new)["moved"] == []


def test_params_and_other_columns():
    new = snapshot(
        row("a.png", "a", weight=2.0, **{"meta.site": "x"}),
        *OLD[1:],
        split=SETTINGS["split"] | {"seed": 2},
    )
    diff = compare_snapshots(snapshot(*OLD), new)
    assert diff["params"] == {"split.seed": {"old": 1, "new": 2}}
    assert diff["columns"] == {"meta.site": 1, "weight": 1}
    assert "split.seed  1 -> 2" in render_diff(diff)


def test_numbers_are_no_classes():
    rows = [row(f"{n}.png", "a", str(n)) for n in range(3)]
    diff = compare_snapshots(
        snapshot(*rows, task="regression"), snapshot(*rows[1:], task="regression")
    )
    assert diff["classes"] == {}
    assert diff["splits"]["train"] == {"old": 3, "new": 2}


def test_text_is_short_whatever_changed():
    labels = [f"class {n:03}" for n in range(300)]
    old = [row(f"{n}.png", "a", label, id=f"{n:064}") for n, label in enumerate(labels)]
    new = [
        row(f"{n}.png", "a", label[::-1], "test", id=f"{n:064}") for n, label in enumerate(labels)
    ] + [row(f"new {n}.png", "b", labels[n % 9], id=f"{n:x>64}") for n in range(900)]
    diff = compare_snapshots(snapshot(*old), snapshot(*new))
    lines = render_diff(diff).splitlines()
    assert len(lines) < 75
    assert max(map(len, lines)) < 160
    assert "  added: 900  (class 000 train 100, " in "\n".join(lines)
    assert any(line == "      ... and 295 more" for line in lines)
    assert len(diff["added"]) == 900


def test_names_cannot_act_on_a_terminal():
    old = snapshot(*OLD)
    new = snapshot(*OLD, row("\x1b[2J\u202egnp.exe", "d", "cat\nowl\x07"))
    text = render_diff(compare_snapshots(old, new))
    assert "\\x1b[2J\\u202egnp.exe" in text
    assert "\x1b" not in text
    assert "\u202e" not in text
    assert "cat\\nowl\\x07" in text


def test_an_empty_side():
    none = snapshot(OLD[0])
    none = replace(none, manifest=none.manifest.iloc[:0])
    assert len(compare_snapshots(none, snapshot(*OLD))["added"]) == 3
    assert len(compare_snapshots(snapshot(*OLD), none)["removed"]) == 3


def test_a_hundred_thousand_items_take_seconds():
    n = 100_000
    rows = pd.DataFrame([row("x", "a")]).iloc[np.zeros(n, dtype=int)]
    rows = rows.assign(path=[f"{i:06}.png" for i in range(n)], id=[f"{i:064}" for i in range(n)])
    old = replace(snapshot(OLD[0]), manifest=rows.reset_index(drop=True))
    new = replace(old, manifest=old.manifest.iloc[1000:].reset_index(drop=True))
    assert len(compare_snapshots(old, new)["removed"]) == 1000


def test_originals_are_known_by_bytes_by_the_report_or_by_the_pairs():
    rows = manifest(
        row("a, b.png", "a"),
        row("b in c.png", "b", "dog", "val"),
        row("same bytes.png", "a", reason="duplicate"),
        row("same pixels.png", "c", reason="duplicate"),
        row("alike.png", "d", reason="duplicate"),
        row("paired.png", "e", reason="duplicate"),
        row("unknown.png", "f", reason="duplicate"),
    )
    details = {
        "same pixels.png": "as a, b.png, with more",
        "alike.png": "0.98 alike to b in c.png in val, by way of others",
        "unknown.png": "as nothing.png",
    }
    near = pd.DataFrame(
        {
            "path_a": ["a, b.png", "paired.png"],
            "path_b": ["paired.png", "b in c.png"],
            "correlation": [0.95, 0.96],
        }
    )
    assert find_originals(rows, details, near) == {
        "same bytes.png": "a, b.png",
        "same pixels.png": "a, b.png",
        "alike.png": "b in c.png",
        "paired.png": "b in c.png",
    }
    assert "paired.png" not in find_originals(rows, details, None)


@pytest.mark.parametrize(
    ("name", "member", "write"),
    [
        ("a.zip", "in/b.png", lambda path: path.write_bytes(packed([("in/b.png", b"two")]))),
        (
            "a.parquet",
            "00000001",
            lambda path: write_table(
                path, {"image": [b"\xff\xd8\xff", b"two"], "label": ["a", "b"]}
            ),
        ),
    ],
    ids=["zip", "table of pictures"],
)
def test_removed_members_of_other_containers_are_read_from_the_cache(tmp_path, name, member, write):
    stored = object_path(tmp_path, "ab" + "0" * 30)
    stored.parent.mkdir(parents=True)
    write(stored)
    files = CachedFiles(tmp_path, {f"x/{name}": "ab" + "0" * 30})
    assert files.read(f"x/{name}/{member}") == b"two"
    assert files.read(f"x/{name}/gone") is None


def test_removed_members_of_a_tar_are_read_from_the_cache(tmp_path):
    raw = {"a.png": b"one", "in/b.png": b"two"}
    shard = object_path(tmp_path, "ab" + "0" * 30)
    loose = object_path(tmp_path, "cd" + "0" * 30)
    for path in (shard, loose):
        path.parent.mkdir(parents=True)
    loose.write_bytes(b"three")
    with tarfile.open(shard, "w") as archive:
        for name, content in raw.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, BytesIO(content))
    files = CachedFiles(
        tmp_path,
        {"x/shard.tar": "ab" + "0" * 30, "c.png": "cd" + "0" * 30, "gone.png": "ef" + "0" * 30},
    )
    assert files.read("x/shard.tar/in/b.png") == b"two"
    assert files.read("c.png") == b"three"
    for path in ("gone.png", "x/shard.tar/no.png", "gone.png/d.png", "e.png", "x/shard.tar/../a"):
        assert files.read(path) is None
