"""Who becomes champion and why, in the audit and in the registry; and what is left after a kill."""

import json
import shutil
import time
from pathlib import Path

import pytest

from pipeline.ground.errors import DataError, IntegrityError, ParamsError
from pipeline.promotion import contest
from pipeline.promotion.aliases import audit_folder, restore_aliases
from pipeline.promotion.decisions import read_audit
from pipeline.promotion.promotion import decide_published, promote, rollback
from pipeline.track.connection import connect
from pipeline.version.registry import DECIDED, DECISION, VERIFIED, list_versions, read_aliases
from tests.support.contenders import Ring

GOOD = [number for number in range(80) if number % 4]
BAD = range(0, 80, 4)


@pytest.fixture
def ring(repository, monkeypatch):
    made = Ring(repository, connect("cells"))
    monkeypatch.setattr(contest, "ask", made.answer)
    return made


def publish(ring, model, wrong, **how):
    """Enter a version and decide on it, as `publish` does."""
    version = ring.enter(model, wrong, **how)
    decide_published(ring.arena, version)
    return read_audit()[-1] if read_audit() else None


def aliases(ring):
    return read_aliases(ring.tracking, "cells")


def tags(ring, number):
    return ring.tracking.client.get_model_version("cells", str(number)).tags


VERDICTS = {
    "better": (GOOD[:4], "promote", "better beyond noise"),
    "worse": ([*GOOD[:20], *GOOD[30:40]], "refuse", "worse beyond noise"),
    "the same": (GOOD[:20], "refuse", "not better beyond noise: the low end must be above 0"),
    "equal within noise": (
        GOOD[2:21],
        "refuse",
        "gain +0.0125 (95 %: -0.0375 to +0.0625), not better beyond noise",
    ),
    "better overall, worse on a class": (
        [*BAD[:3]],
        "refuse",
        "recall of 'bad', fall 0.15, at most 0.05, off by 0.1",
    ),
}


@pytest.mark.parametrize(("wrong", "action", "reason"), VERDICTS.values(), ids=VERDICTS)
def test_a_verdict_and_an_entry_that_says_why(ring, wrong, action, reason):
    first = publish(ring, "old", GOOD[:20])
    assert (first.action, first.reason) == ("promote", "there was no champion yet")
    assert ring.asked == [], "without a champion nothing is predicted again"
    second = publish(ring, "new", wrong)
    assert second.action == action
    assert reason in second.reason
    assert second.reason.split("; ")[-1].startswith(("accuracy", "recall"))
    champion = "2" if action == "promote" else "1"
    assert aliases(ring) == {"candidate": "2", "champion": champion}
    assert second.aliases == {"candidate": "new", "champion": "new" if champion == "2" else "old"}
    assert (tags(ring, 2)[DECIDED], tags(ring, 2)[DECISION]) == (second.hash, second.reason)
    assert ring.asked == ["models:/cells/2", "models:/cells/1"]
    assert second.evidence["against"] == {"model": "old", "version": "1"}
    assert second.evidence["test"]["items"] == 80
    assert second.evidence["gains"]["accuracy"]["champion"] == 0.75
    failed = [gate["name"] for gate in second.evidence["gates"] if not gate["is_passed"]]
    assert bool(failed) is (action == "refuse")


def test_what_was_decided_is_not_decided_again(ring):
    publish(ring, "old", GOOD[:20])
    version = ring.enter("new", GOOD[:4])
    for _ in range(3):
        decide_published(ring.arena, version)
        promote(ring.arena, "@candidate")
    assert len(read_audit()) == 2
    assert len(ring.asked) == 2


def test_a_refusal_stands_until_something_changes(ring):
    publish(ring, "old", GOOD[:20])
    refused = publish(ring, "new", GOOD[1:20])
    assert promote(ring.arena, "2").decision == refused
    assert len(ring.asked) == 2, "the same question is not asked twice"
    ring.with_rules(min_gain=-0.05)
    answer = promote(ring.arena, "2", reason="cheaper")
    assert answer.is_new
    assert answer.decision.action == "promote"
    assert answer.decision.reason.startswith("cheaper (accuracy 0.7625 against 0.7500")
    assert aliases(ring)["champion"] == "2"


def test_items_that_either_was_trained_on_are_left_out_and_counted(ring):
    publish(ring, "old", GOOD[:20], trained=ring.ids[:10])
    groups = {ring.ids[k]: "module 7" for k in (0, 70, 71)}
    found = publish(ring, "new", GOOD[:4], trained=[ring.ids[79], ring.ids[0]], groups=groups)
    test = found.evidence["test"]
    assert test["left_out"] == {"items": 11, "of_groups": 2}
    assert (test["items"], test["split_items"]) == (80 - 13, 80)
    assert test["compared"] != test["split"]


def test_too_few_items_refuse_and_an_override_is_audited(ring):
    publish(ring, "old", GOOD[:20], trained=ring.ids[3:])
    refused = publish(ring, "new", GOOD[:4])
    assert refused.action == "refuse"
    assert "3 of 80 test items are left" in refused.reason
    assert "registry.min_items asks for 4" in refused.reason
    assert ring.asked == []
    with pytest.raises(ParamsError, match="an override needs a reason"):
        promote(ring.arena, "2", override=True)
    found = promote(ring.arena, "2", reason="the data are new", override=True).decision
    assert found.action == "override"
    assert found.reason.startswith("the data are new (3 of 80")
    assert aliases(ring) == {"candidate": "2", "champion": "2"}
    again = promote(ring.arena, "2", reason="the data are new", override=True)
    assert not again.is_new
    assert len(read_audit()) == 3


def test_other_classes_are_refused(ring):
    publish(ring, "old", GOOD[:20])
    found = publish(ring, "new", GOOD[:4], classes=("bad", "good", "ugly"))
    assert found.reason == (
        "the classes differ: only the candidate has 'ugly', only the champion none"
    )


def test_another_order_of_the_classes_is_the_same_question(ring):
    publish(ring, "old", GOOD[:20])
    assert publish(ring, "new", GOOD[:4], classes=("good", "bad")).action == "promote"


@pytest.mark.parametrize("missing", ["splits", "bundle"])
def test_a_champion_of_which_too_little_is_kept_is_not_contended_with(ring, missing):
    keeps = {"bundle", "predictions", "splits"} - {missing}
    old = ring.enter("old", GOOD[:20], keeps=tuple(keeps))
    ring.tracking.client.set_registered_model_alias("cells", "champion", old.version)
    found = publish(ring, "new", GOOD[:4])
    assert found.action == "refuse"
    assert f"the run of version 1 does not keep results/{missing}" in found.reason


def test_a_champion_that_cannot_predict_an_item_is_told(ring):
    publish(ring, "old", GOOD[:20])
    ring.rows["models:/cells/1"][5] = {"error": "not_image: what is this", "p_bad": None}
    assert "version 1 cannot predict 1 of 80 test items" in publish(ring, "new", GOOD[:4]).reason


def test_bounds_bind_the_first_champion_too(ring):
    ring.with_rules(min_class_recall=0.9, max_bytes=999, max_latency_ms=9.0)
    found = publish(ring, "old", GOOD[:20])
    assert found.action == "refuse"
    assert found.reason == (
        "recall of 'good' 0.6667, at least 0.9, off by 0.2333; "
        "bytes of the model 1000, at most 999, off by 1"
    )
    assert aliases(ring) == {"candidate": "1"}
    assert publish(ring, "new", GOOD[:4]).evidence["against"] is None


def test_raw_files_that_are_gone_decide_nothing(ring):
    publish(ring, "old", GOOD[:20])
    (ring.arena.raw / ring.paths[3]).unlink()
    with pytest.raises(DataError, match=r"has not the test items of version 2: .*check out"):
        publish(ring, "new", GOOD[:4])
    assert len(read_audit()) == 1


def test_manual_promotion_waits_for_a_person(ring):
    ring.with_rules(promote="manual")
    assert publish(ring, "old", GOOD[:20]) is None
    assert aliases(ring) == {"candidate": "1"}
    assert tags(ring, 1)[DECISION] == "waits for `rootstock promote`"
    promote(ring.arena, "@candidate", reason="first")
    publish(ring, "new", GOOD[:4])
    decide_published(ring.arena, list_versions(ring.tracking, "cells")[0])
    assert aliases(ring) == {"candidate": "2", "champion": "1"}
    assert len(read_audit()) == 1


def test_a_version_that_was_not_verified_is_not_promoted(ring):
    publish(ring, "old", GOOD[:20])
    ring.tracking.client.delete_model_version_tag("cells", "1", VERIFIED)
    with pytest.raises(IntegrityError, match="must be verified before it serves"):
        promote(ring.arena, "1")
    with pytest.raises(ParamsError, match=r"has no such version, got '7' \(the last ones are: 1"):
        promote(ring.arena, "7")


def test_rollback_goes_back_and_needs_nobody(ring):
    for model, wrong in (("a", GOOD[:30]), ("b", GOOD[:15]), ("c", GOOD[:2])):
        publish(ring, model, wrong)
    asked = len(ring.asked)
    for number in ("2", "1"):
        found = rollback(ring.arena, "it fails in the field").decision
        assert (found.action, found.version) == ("rollback", number)
        assert found.reason == "it fails in the field"
        assert aliases(ring) == {"candidate": "3", "champion": number}
    with pytest.raises(ParamsError, match="no champion before"):
        rollback(ring.arena, "again")
    with pytest.raises(ParamsError, match="needs a reason"):
        rollback(ring.arena, " ")
    assert len(ring.asked) == asked
    assert len(read_audit()) == 5


def test_a_rollback_from_an_alias_moved_by_hand_is_refused(ring):
    publish(ring, "a", GOOD[:30])
    publish(ring, "b", GOOD[:10])
    ring.tracking.client.set_registered_model_alias("cells", "champion", "1")
    with pytest.raises(IntegrityError, match="is not where the audit has it"):
        rollback(ring.arena, "why")


def test_a_lost_registry_gets_aliases_and_tags_back_from_the_audit(ring, mlflow_template):
    for model, wrong in (("a", GOOD[:30]), ("b", GOOD[:15]), ("c", GOOD[:14])):
        publish(ring, model, wrong)
    before = aliases(ring), [tags(ring, k)[DECIDED] for k in (1, 2, 3)]
    shutil.copyfile(mlflow_template, "mlflow.db")
    new = Ring.__new__(Ring)
    new.__dict__ |= ring.__dict__ | {"tracking": connect("cells"), "asked": []}
    new.arena = contest.Arena(new.tracking, ring.arena.params, ring.arena.raw, 15)
    for model, wrong in (("a", GOOD[:30]), ("b", GOOD[:15]), ("c", GOOD[:14])):
        decide_published(new.arena, new.enter(model, wrong))
    assert (aliases(new), [tags(new, k)[DECIDED] for k in (1, 2, 3)]) == before
    assert len(read_audit()) == 3
    assert new.asked == []

    for alias in ("candidate", "champion"):
        new.tracking.client.delete_registered_model_alias("cells", alias)
    lines = restore_aliases(new.tracking, "cells", read_audit())
    assert aliases(new) == before[0]
    assert lines == [
        "cells: @candidate: set to version 3, as the audit has it",
        "cells: @champion: set to version 2, as the audit has it",
    ]
    assert restore_aliases(new.tracking, "cells", read_audit()) == []


def test_a_champion_that_is_not_in_this_registry_is_not_beaten_by_default(
    ring, mlflow_template, caplog
):
    publish(ring, "a", GOOD[:30])
    shutil.copyfile(mlflow_template, "mlflow.db")
    new = Ring.__new__(Ring)
    new.__dict__ |= ring.__dict__ | {"tracking": connect("cells")}
    new.arena = contest.Arena(new.tracking, ring.arena.params, ring.arena.raw, 15)
    publish(new, "b", GOOD[:2])
    assert aliases(new) == {"candidate": "1"}
    assert "has no version in this registry (run `rootstock sync`" in caplog.text
    with pytest.raises(IntegrityError, match="rootstock sync"):
        promote(new.arena, "1")
    assert len(read_audit()) == 1

    found = publish(new, "a on another machine", GOOD[:30], key="key-a")
    assert found.action == "promote", "its own inputs, trained again"
    assert aliases(new) == {"candidate": "2", "champion": "2"}


class Killed(BaseException):
    """What a kill looks like from inside."""


def decide_until_killed(ring, after, act, monkeypatch):
    """Act, and die right after the n-th call that writes to the registry."""
    client, left = ring.tracking.client, [after]

    def dying(method):
        def call(*args, **kwargs):
            if left[0] == 0:
                raise Killed
            left[0] -= 1
            return method(*args, **kwargs)

        return call

    with monkeypatch.context() as patch:
        for name in ("set_registered_model_alias", "set_model_version_tag"):
            patch.setattr(client, name, dying(getattr(client, name)))
        try:
            act()
        except Killed:
            return True
    return False


@pytest.mark.parametrize("after", range(5))
@pytest.mark.parametrize("way", ["publish", "promote", "rollback", "refuse"])
def test_a_kill_between_entry_alias_and_tag_leaves_one_entry(ring, monkeypatch, way, after):
    publish(ring, "a", GOOD[:30])
    publish(ring, "b", GOOD[:15])
    version = ring.enter("c", GOOD[:15] if way == "refuse" else GOOD[:2])
    acts = {
        "publish": lambda: decide_published(ring.arena, version),
        "refuse": lambda: decide_published(ring.arena, version),
        "promote": lambda: promote(ring.arena, "3"),
        "rollback": lambda: rollback(ring.arena, "why"),
    }
    was_killed = decide_until_killed(ring, after, acts[way], monkeypatch)
    assert was_killed is (after < {"publish": 4}.get(way, 3))
    assert len(read_audit()) == 3, "the entry comes first"
    asked = len(ring.asked)
    if was_killed or way != "rollback":
        acts[way]()
    assert len(read_audit()) == 3
    assert len(ring.asked) == asked
    assert aliases(ring)["champion"] == {"rollback": "1", "refuse": "2"}.get(way, "3")
    last = read_audit()[-1]
    assert tags(ring, int(last.version))[DECIDED] == last.hash


def test_a_promotion_after_a_rollback_can_be_rolled_back(ring):
    publish(ring, "a", GOOD[:30])
    publish(ring, "b", GOOD[:15])
    rollback(ring.arena, "why")
    assert promote(ring.arena, "2", reason="it was the camera").is_new
    assert aliases(ring)["champion"] == "2"
    assert rollback(ring.arena, "it was not").decision.version == "1"


def test_decisions_of_another_branch_are_not_undone(ring):
    """Branch B was left before B's champion was decided on: its audit knows less."""
    publish(ring, "a", GOOD[:30])
    shutil.copytree("audit", "audit-of-b")
    publish(ring, "b", GOOD[:15])
    shutil.move("audit", "audit-of-a")
    shutil.move("audit-of-b", "audit")
    time.sleep(1.1)  # of two that do not know each other, the later counts
    found = publish(ring, "c", GOOD[:14])
    assert found.action == "refuse"
    assert found.evidence["against"]["model"] == "b"
    assert aliases(ring) == {"candidate": "3", "champion": "2"}
    lines = restore_aliases(ring.tracking, "cells", read_audit())
    assert lines == ["cells: @champion: stays at version 2, whose decision is not in audit/ here"]
    shutil.copytree("audit-of-a", "audit", dirs_exist_ok=True)
    assert restore_aliases(ring.tracking, "cells", read_audit()) == []
    assert aliases(ring) == {"candidate": "3", "champion": "2"}


def test_an_altered_audit_stops_every_decision(ring):
    publish(ring, "a", GOOD[:30])
    (path,) = audit_folder().iterdir()
    path.write_text(json.dumps(json.loads(path.read_text()) | {"by": "x"}))
    with pytest.raises(IntegrityError, match=f"{path.name}: was altered or renamed"):
        publish(ring, "b", GOOD[:2])
    assert aliases(ring) == {"candidate": "1", "champion": "1"}


def test_an_experiment_elsewhere_writes_into_the_repository_s_own_audit(
    ring, tmp_path_factory, monkeypatch
):
    """`dvc exp run --temp` and `--queue` work in a folder that is thrown away."""
    assert str(audit_folder()) == "audit"
    publish(ring, "a", GOOD[:30])
    repository, version = Path.cwd(), ring.enter("b", GOOD[:2])
    monkeypatch.chdir(tmp_path_factory.mktemp("exp"))
    assert audit_folder() == repository / "audit"
    decide_published(ring.arena, version)
    assert not Path("audit").exists()
    assert len(read_audit(repository / "audit")) == 2
