"""`rootstock promote`, `rollback` and `audit`: what they print, and how they end."""

import json
import logging
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from pipeline.cli import main
from pipeline.promotion import contest
from pipeline.promotion.decisions import read_audit
from pipeline.promotion.history import OFTEN, count_scores, tell_history
from pipeline.promotion.promotion import decide_published
from pipeline.track.commits import git_facts
from pipeline.track.connection import connect
from tests.support.contenders import Ring
from tests.support.published import PARAMS, REGISTRY

GOOD = [number for number in range(80) if number % 4]


@pytest.fixture
def ring(repository, monkeypatch):
    made = Ring(repository, connect("cells"))
    monkeypatch.setattr(contest, "ask", made.answer)
    (repository / "params.yaml").write_text(yaml.safe_dump(PARAMS))
    return made


@pytest.fixture(autouse=True)
def kept_logging():
    """`main` sends what is logged to a stream that the test closes."""
    root = logging.getLogger()
    before = root.handlers[:]
    yield
    root.handlers[:] = before


def publish(ring, model, wrong):
    decide_published(ring.arena, ring.enter(model, wrong))


def git(*arguments):
    command = ["git", "-c", "user.name=a", "-c", "user.email=a@example.org", *arguments]
    subprocess.run(command, check=True, capture_output=True)


def commit(message):
    git("add", "audit")
    git("commit", "--quiet", "-m", message)


@pytest.fixture
def committed(ring):
    git("init", "--quiet", "--initial-branch", "main")
    publish(ring, "a", GOOD[:30])
    commit("a")
    publish(ring, "b", GOOD[:2])
    commit("b")
    return ring


def move(ring, alias, number):
    ring.tracking.client.set_registered_model_alias("cells", alias, str(number))


def test_a_refusal_is_told_and_ends_with_2(ring, capsys):
    publish(ring, "a", GOOD[:20])
    publish(ring, "b", GOOD[1:22])
    assert main(["promote"]) == 2
    out, err = capsys.readouterr()
    assert "models:/cells/2: is not promoted" in out
    assert "80 of 80 test items; left out: 0 in train or val of one" in out
    assert "FAILED  accuracy 0.7375 against 0.7500: gain -0.0125" in out
    assert "passed  recall of 'bad', fall 0, at most 0.05" in out
    assert "decided before, nothing was added" in out
    last = err.splitlines()[-1]
    assert last.startswith("error: rootstock promote @candidate: refused: accuracy 0.7375")
    assert last.endswith('--override --reason "…" promotes it all the same)')

    assert main(["promote", "2", "--override"]) == 2
    assert "an override needs a reason" in capsys.readouterr().err
    assert main(["promote", "2", "--override", "--reason", "smaller", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["action"], found["is_new"], found["version"]) == ("override", True, "2")
    assert found["file"] == f"audit/{read_audit()[-1].file_name}"


def test_rollback_and_audit(committed, capsys):
    assert main(["audit"]) == 0
    out = capsys.readouterr().out
    assert "2 decisions on cells" in out
    assert "there was no champion yet" in out
    assert "scored for 2 decisions, by 2 candidates" in out
    assert "none was altered, renamed or removed" in out
    assert "the aliases in the registry are those of the audit" in out
    assert main(["rollback", "--reason", "dark cells"]) == 0
    assert "models:/cells/1: is champion again" in capsys.readouterr().out
    assert main(["audit", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["aliases"] == {"candidate": "b", "champion": "a"}
    assert [each["action"] for each in found["decisions"]] == ["promote", "promote", "rollback"]
    assert found["drift"] == {"met": [], "notes": [], "wrong": []}


def test_an_alias_that_was_moved_by_hand_is_found(committed, capsys):
    move(committed, "champion", 1)
    assert main(["audit"]) == 5
    last = capsys.readouterr().err.splitlines()[-1]
    assert "models:/cells@champion: was moved by hand to version 1; by the audit model b" in last
    assert main(["audit", "--offline"]) == 0
    committed.tracking.client.delete_registered_model_alias("cells", "champion")
    assert main(["audit"]) == 5
    assert "models:/cells@champion: is gone; by the audit model b has it" in capsys.readouterr().err


def test_a_candidate_that_waits_is_no_drift(committed):
    committed.enter("c", GOOD[:1])
    move(committed, "candidate", 3)
    assert main(["audit"]) == 0


def test_altered_and_removed_entries_are_found(committed, capsys):
    first, last = (f"audit/{each.file_name}" for each in read_audit())
    for path in (first, last):
        Path(path).write_text(Path(path).read_text() + " ")
        assert main(["audit", "--offline"]) == 5
        assert f"{path}: was altered or renamed" in capsys.readouterr().err
        git("checkout", "--", "audit")
    git("rm", "--quiet", last)
    assert main(["audit", "--offline"]) == 5
    assert f"{last}: was removed; commit" in capsys.readouterr().err
    git("commit", "--quiet", "-m", "away with it")
    assert main(["audit", "--offline"]) == 5


def test_an_entry_that_was_never_committed_and_is_gone_is_missed_by_its_tag(committed, capsys):
    publish(committed, "c", GOOD[:30])
    shutil.rmtree("audit")
    git("checkout", "--", "audit")
    assert main(["audit"]) == 5
    assert "models:/cells/3: its decision" in capsys.readouterr().err


def test_an_entry_of_another_branch_is_a_note(committed, capsys):
    git("checkout", "--quiet", "-b", "side", "HEAD~1")
    assert main(["audit"]) == 0
    assert "models:/cells/2: its decision" in (out := capsys.readouterr().out)
    assert "not here (merge it)" in out


def test_without_a_registry_there_is_nothing_to_compare(committed, capsys):
    (committed.arena.raw.parents[2] / "mlflow.db").unlink()
    assert main(["audit"]) == 0
    assert "not compared with a registry" in capsys.readouterr().out
    assert not (committed.arena.raw.parents[2] / "mlflow.db").exists()


def test_the_audit_makes_no_tree_dirty(committed):
    publish(committed, "c", GOOD[:1])
    ignored = ["data", "mlflow.db", "mlflow-artifacts", ".rootstock", "params.yaml"]
    assert git_facts(Path(), written=ignored).is_dirty
    assert not git_facts(Path(), written=[*ignored, "audit"]).is_dirty


def test_a_test_split_that_was_scored_often_is_warned_of(ring):
    for number in range(OFTEN):
        publish(ring, f"m{number}", GOOD[: 20 + number])
    (scored,) = count_scores(read_audit(), "cells")
    assert (scored.times, scored.candidates, scored.items) == (OFTEN, OFTEN, 80)
    assert scored.luck == pytest.approx(1 - 0.975**OFTEN)
    assert "warning: test split" in tell_history(read_audit(), "cells")
    assert "chance of about 22%" in tell_history(read_audit(), "cells")


def test_an_audit_without_decisions(ring, capsys):
    assert main(["audit"]) == 0
    assert f"no decision on {REGISTRY.name}" in capsys.readouterr().out
    assert main(["promote"]) == 2
    assert "has no such version, got '@candidate'" in capsys.readouterr().err
    assert main(["rollback", "--reason", "x"]) == 2
