"""The audit: written whole, every alteration found, clones merge, replay gives the aliases."""

import itertools
import json
import random
import shutil
from datetime import UTC, datetime, timedelta
from hashlib import sha256

import pytest

from pipeline.ground.errors import IntegrityError
from pipeline.promotion.decisions import Draft, champions, heads, read_audit, replay, write_decision

START = datetime(2026, 1, 31, 12, tzinfo=UTC)


def decide(folder, model, action="promote", *, minute=0, champion=None, candidate=None, name="m"):
    """Add a decision; its model becomes candidate, and champion unless it is refused."""
    champion = champion or model
    draft = Draft(
        by="a",
        action=action,
        name=name,
        model=model,
        key=f"key-{model}",
        version="1",
        aliases={"candidate": candidate or model, "champion": champion},
        reason=f"{action}\nit",
        evidence={"gates": [{"value": 0.5}]},
    )
    return write_decision(folder, draft, time=START + timedelta(minutes=minute))


def test_an_entry_is_named_by_its_time_and_hash_and_reads_back(tmp_path):
    written = decide(tmp_path / "audit", "x")
    (path,) = (tmp_path / "audit").iterdir()
    assert path.name == f"20260131T120000Z-{written.hash[:12]}.json"
    assert read_audit(tmp_path / "audit") == [written]
    assert written.time == "2026-01-31T12:00:00Z"
    assert written.reason == "promote it"
    assert json.loads(path.read_text())["parents"] == []


def test_no_folder_and_an_empty_one_hold_no_decisions(tmp_path):
    assert read_audit(tmp_path / "audit") == []
    assert read_audit(tmp_path) == []
    assert replay([], "m") == {}


def test_each_follows_the_one_before(tmp_path):
    first, second = decide(tmp_path, "x"), decide(tmp_path, "y", minute=1)
    assert second.parents == (first.hash,)
    assert heads([first, second]) == [second.hash]


def test_a_clock_that_went_back_does_not_turn_the_order(tmp_path):
    made = [decide(tmp_path, model, minute=-k) for k, model in enumerate("xyz")]
    assert read_audit(tmp_path) == made
    assert replay(made, "m")["champion"] == "z"


def alter_value(path, other):
    path.write_text(path.read_text().replace('"value":0.5', '"value":0.6'))


def rename(path, other):
    path.rename(path.with_name(path.name.replace("12", "13", 1)))


def remove(path, other):
    path.unlink()


def reformat(path, other):
    path.write_text(json.dumps(json.loads(path.read_text()), indent=2))


def cut(path, other):
    path.write_bytes(path.read_bytes()[:-1])


def merge_markers(path, other):
    path.write_text(f"<<<<<<< HEAD\n{path.read_text()}=======\n>>>>>>> b\n")


def swap(path, other):
    path.write_bytes(other.read_bytes())


def point_elsewhere(path, other):
    path.unlink()
    path.symlink_to(other)


def forge(path, other):
    """Alter an entry, and give it the name that fits."""
    folder, content = path.parent, json.loads(path.read_text())
    path.unlink()
    shutil.move(other, folder.parent)
    del content["parents"], content["time"]
    write_decision(folder, Draft(**(content | {"by": "b"})), time=START)
    shutil.move(folder.parent / other.name, folder)


@pytest.mark.parametrize(
    "damage",
    [alter_value, rename, remove, reformat, cut, merge_markers, swap, point_elsewhere, forge],
)
def test_whatever_was_done_to_an_entry_is_found(tmp_path, damage):
    folder = tmp_path / "audit"
    for k, model in enumerate("xy"):
        decide(folder, model, minute=k)
    path, other = sorted(folder.iterdir())
    damage(path, other)
    with pytest.raises(IntegrityError, match=r"audit/2026.*\((restore|move)"):
        read_audit(folder)
    with pytest.raises(IntegrityError):
        decide(folder, "z")


def test_a_foreign_file_is_named(tmp_path):
    decide(tmp_path, "x")
    (tmp_path / "README.md").write_text("what this folder is")
    (tmp_path / ".tmp-20260131T120000Z-0123456789ab.json-1").write_text("{")
    assert len(read_audit(tmp_path)) == 1
    (tmp_path / "notes.json").write_text("{}")
    with pytest.raises(IntegrityError, match=r"notes\.json: is no decision.*move it elsewhere"):
        read_audit(tmp_path)


CHANGES = (
    {"action": "praise"},
    {"evidence": {"value": float("nan")}},
    {"parents": [1]},
    {"time": "now"},
    {"aliases": []},
    {"x": 1},
)


@pytest.mark.parametrize("change", CHANGES, ids=str)
def test_an_entry_with_a_right_hash_and_wrong_content_is_found(tmp_path, change):
    decide(tmp_path, "x")
    (path,) = tmp_path.iterdir()
    content = json.loads(path.read_text()) | change
    text = json.dumps(content, sort_keys=True, separators=(",", ":")) + "\n"
    path.unlink()
    digest = sha256(text.encode()).hexdigest()
    (tmp_path / f"20260131T120000Z-{digest[:12]}.json").write_text(text)
    with pytest.raises(IntegrityError, match="is no decision as this version writes it"):
        read_audit(tmp_path)


def test_two_clones_merge_and_the_next_decision_joins_them(tmp_path):
    """B promotes, A refuses later: the refusal does not undo the promotion."""
    ours, theirs = tmp_path / "a", tmp_path / "b"
    decide(ours, "x")
    shutil.copytree(ours, theirs)
    refused = decide(ours, "y", "refuse", minute=5, champion="x")
    promoted = decide(theirs, "z", minute=3)
    shutil.copytree(theirs, ours, dirs_exist_ok=True)
    shutil.copytree(ours, theirs, dirs_exist_ok=True)
    merged = read_audit(ours)
    assert merged == read_audit(theirs)
    assert replay(merged, "m") == {"candidate": "y", "champion": "z"}
    joined = decide(ours, "w", minute=9)
    assert joined.parents == tuple(sorted([refused.hash, promoted.hash]))
    assert replay(read_audit(ours), "m")["champion"] == "w"


def test_the_order_depends_on_the_set_of_files_alone(tmp_path):
    """Random graphs of clones that decide, pull and merge at random."""
    generator = random.Random(1)
    clones = [tmp_path / name for name in "abc"]
    for clone in clones:
        clone.mkdir()
    for step in range(40):
        clone, other = generator.sample(clones, 2)
        if generator.random() < 0.4:
            shutil.copytree(other, clone, dirs_exist_ok=True)
        decide(clone, f"model-{step}", minute=generator.randrange(9))
    for clone, other in itertools.permutations(clones, 2):
        shutil.copytree(other, clone, dirs_exist_ok=True)
    orders = [read_audit(clone) for clone in clones]
    assert len(orders[0]) == 40
    assert orders[0] == orders[1] == orders[2]
    places = {decision.hash: place for place, decision in enumerate(orders[0])}
    for decision in orders[0]:
        assert all(places[parent] < places[decision.hash] for parent in decision.parents)


def test_models_are_kept_apart(tmp_path):
    decide(tmp_path, "x", name="m")
    decide(tmp_path, "y", name="other")
    assert replay(read_audit(tmp_path), "m") == {"candidate": "x", "champion": "x"}


def test_a_rollback_goes_one_champion_back_each_time(tmp_path):
    for minute, model in enumerate("xyz"):
        decide(tmp_path, model, minute=minute)
    decide(tmp_path, "w", "refuse", minute=4, champion="z")
    seen = []
    for minute in (5, 6):
        seen.append([each.model for each in champions(read_audit(tmp_path), "m")])
        decide(tmp_path, seen[-1][-2], "rollback", minute=minute, candidate="w")
    seen.append([each.model for each in champions(read_audit(tmp_path), "m")])
    assert seen == [["x", "y", "z"], ["x", "y"], ["x"]]
    assert replay(read_audit(tmp_path), "m") == {"candidate": "w", "champion": "x"}
