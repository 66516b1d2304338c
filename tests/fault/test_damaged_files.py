"""Files that are not those of their record, and DVC's own accidents: real git, DVC and a remote.

F5 to F11 and F27 of the usual faults; those of `doctor` are in tests/unit/doctor/test_repository.py
(an empty rwlock, a cut dvc.lock) and tests/fault/test_killed_repro.py.
"""

import hashlib
import json
import platform
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from pipeline.cli import main
from pipeline.compute.engine import MachineParams
from pipeline.doctor.preflight import refuse_conflict
from pipeline.doctor.repro_lock import LOCK, repro_lock
from pipeline.doctor.sharing import check_sharing
from pipeline.fsck.check import Scope, check_files
from pipeline.fsck.edited import keep_edited
from pipeline.ground.errors import MachineError, ParamsError
from pipeline.promotion.decisions import Draft, write_decision
from pipeline.repo.lock import AUDIT
from tests.support.project import commit, run

QUIET = MachineParams.alone(workers=2, progress="none")
GRAPH = """stages:
  a:
    cmd: mkdir -p d && echo one > d/1 && echo two > d/2 && echo a > a.txt
    outs: [d, a.txt]
"""
CONFIG = "[core]\n    analytics = false\n    remote = store\n['remote \"store\"']\n    url = {}\n"


@pytest.fixture
def repository(tmp_path, monkeypatch):
    """Enter a repository with one stage that made a file and a folder, committed and pushed."""
    folder = tmp_path / "here"
    folder.mkdir()
    monkeypatch.chdir(folder)
    run(folder, "git", "init", "--quiet")
    (folder / ".dvc").mkdir()
    (folder / ".dvc/.gitignore").write_text("/cache\n/tmp\n/config.local\n")
    (folder / ".dvc/config").write_text(CONFIG.format(tmp_path / "store"))
    (folder / ".gitignore").write_text("/d\n/a.txt\n/.rootstock\n")
    (folder / "dvc.yaml").write_text(GRAPH)
    run(folder, "dvc", "repro", "--quiet")
    run(folder, "dvc", "push", "--quiet")
    commit(folder, "a")
    return folder


def look(level, **scope):
    found = check_files(Scope(**scope), QUIET)
    return [each for each in found if each.level == level]


def object_of(content, top=".dvc/cache"):
    md5 = hashlib.md5(content, usedforsecurity=False).hexdigest()
    return Path(top) / "files/md5" / md5[:2] / md5[2:]


def damage(place, content=b"rot\n"):
    """Change a file's bytes and leave its mode, by which DVC trusts it."""
    mode = place.stat().st_mode
    place.chmod(0o644)
    place.write_bytes(content)
    place.chmod(mode)


def test_what_is_sound_is_told_so(repository):
    assert look("error") == look("warning") == []
    assert look("ok")[-1].line().startswith("working tree: 2 outputs have the bytes")


def test_a_stage_that_runs_in_another_folder_is_found_where_it_writes(repository):
    (repository / "side").mkdir()
    text = "stages:\n  b:\n    wdir: ..\n    cmd: echo b > b.txt\n    outs: [b.txt]\n"
    (repository / "side/dvc.yaml").write_text(text)
    (repository / ".gitignore").write_text("/d\n/a.txt\n/b.txt\n/.rootstock\n")
    run(repository, "dvc", "repro", "--quiet", "side/dvc.yaml")
    assert [each.text for each in look("ok")][-1].startswith("3 outputs")
    assert look("warning") == []
    commit(repository, "b")
    (repository / ".dvc/cache/files/md5" / object_name(b"b\n")).unlink()
    missed = [each.text for each in look("warning", every_revision=True)]
    assert any(each.endswith("first: b.txt") for each in missed)


def object_name(content):
    md5 = hashlib.md5(content, usedforsecurity=False).hexdigest()
    return f"{md5[:2]}/{md5[2:]}"


def test_f8_a_rotten_object_is_found_moved_away_and_pulled(repository):
    place = object_of(b"one\n")
    damage(place)
    (error,) = look("error")
    assert error.exit_code == 5
    assert str(place) in error.line()
    assert "it is d/1" in error.line()
    shutil.rmtree("d")
    run(repository, "dvc", "checkout")  # takes the rotten bytes without a word
    assert (repository / "d/1").read_text() == "rot\n"
    assert {each.subject.split("/")[0] for each in look("error")} == {".dvc", "d"}
    assert any(each.is_fixed for each in look("ok", fix=True))
    assert len(list((repository / ".rootstock/damaged").iterdir())) == 1
    shutil.rmtree("d")
    run(repository, "dvc", "pull", "--quiet")
    assert (repository / "d/1").read_text() == "one\n"
    assert look("error") == look("warning") == []


def test_f9_an_edited_output_is_named_with_its_file(repository):
    (repository / "d/2").unlink()
    (repository / "d/2").write_text("mine\n")
    (repository / "d/3").write_text("more\n")
    (error,) = look("error")
    assert error.exit_code == 5
    assert "d: differs from its record: 2 of 3 files, first: d/2" in error.line()
    assert "dvc checkout --force d" in error.line()


def test_objects_of_other_revisions_and_of_none(repository):
    run(repository, "git", "branch", "old")
    (repository / "dvc.yaml").write_text(GRAPH.replace("echo a", "echo b"))
    run(repository, "dvc", "repro", "--quiet")
    damage(object_of(b"a\n"))
    assert look("error") == []
    assert [each.exit_code for each in look("error", every_revision=True)] == [5]
    assert [each.exit_code for each in look("error", whole_cache=True)] == [5]


def test_f10_what_the_remote_lacks_is_a_failed_pull_and_a_warning(repository, tmp_path):
    object_of(b"a\n", tmp_path / "store").unlink()
    shutil.rmtree(".dvc/cache")
    (repository / "a.txt").unlink()
    assert "a.txt" in run(repository, "dvc", "pull", code=1).stderr
    told = [each.line() for each in look("warning")]
    assert any("objects are missing, first: a.txt" in line for line in told)
    assert any(line.startswith("a.txt: is not here") for line in told)


@pytest.mark.parametrize("verify", [False, True])
def test_f11_a_cut_object_on_the_remote(repository, tmp_path, verify):
    damage(object_of(b"a\n", tmp_path / "store"), b"")
    run(repository, "dvc", "remote", "modify", "store", "verify", str(verify).lower())
    shutil.rmtree(".dvc/cache")
    (repository / "a.txt").unlink()
    run(repository, "dvc", "pull", code=int(verify))
    if not verify:
        assert any(each.exit_code == 5 for each in look("error"))


@pytest.mark.parametrize("way", ["pull", "repro"])
def test_f27_outputs_and_cache_come_back_the_same(repository, way):
    lock = (repository / "dvc.lock").read_text()
    shutil.rmtree(".dvc/cache")
    shutil.rmtree("d")
    run(repository, "dvc", way, "--quiet")
    assert (repository / "dvc.lock").read_text() == lock
    assert (repository / "d/1").read_text() == "one\n"
    assert look("error") == look("warning") == []


def test_experiments_are_named_and_what_is_missing_of_them_is_no_error(repository):
    """Nothing but their own refs leads to them; no branch, no tag."""
    (repository / "params.yaml").write_text("x: 1\n")
    (repository / "dvc.yaml").write_text(
        GRAPH.replace("    outs:", "    params: [x]\n    outs:").replace(
            "echo a", "grep x params.yaml"
        )
    )
    run(repository, "dvc", "repro", "--quiet")
    commit(repository, "with a param")
    run(repository, "dvc", "exp", "run", "--quiet", "--name", "fox", "--set-param", "x=2")
    run(repository, "git", "checkout", "--quiet", ".")
    run(repository, "dvc", "checkout", "--quiet")
    (line,) = [each.line() for each in look("ok") if each.subject.startswith("experiment")]
    assert line.startswith("experiment fox (")
    assert line.endswith("): its 2 outputs are in the cache")
    damage(object_of(b"x: 2\n"))
    assert look("error") == []
    assert [each.exit_code for each in look("error", every_revision=True)] == [5]
    object_of(b"x: 2\n").unlink()
    (found,) = [each for each in look("warning") if each.subject.startswith("experiment")]
    assert "1 of its 2 outputs are not in the cache, first: a.txt" in found.line()
    assert "dvc exp pull <git remote> fox" in found.line()
    assert look("error") == []


def test_the_audit_is_hashed_and_what_was_removed_is_missed(repository, capsys):
    draft = Draft(
        by="a",
        action="promote",
        name="m",
        model="x",
        key="k",
        version="1",
        aliases={"champion": "x"},
        reason="it is better",
        evidence={},
    )
    place = AUDIT / write_decision(AUDIT, draft).file_name
    assert any("1 decisions have the hashes" in each.line() for each in look("ok"))
    commit(repository, "decided")
    content = place.read_text()
    place.write_text(content.replace("better", "worse"))
    (error,) = look("error")
    assert (error.exit_code, error.subject) == (5, str(place))
    for name in ("params.yaml", "dvc.yaml"):
        (repository / name).touch()  # commands run in a project
    assert main(["fsck"]) == 5
    assert capsys.readouterr().err.startswith(f"error: {place}: ")
    place.unlink()
    (error,) = look("error")
    assert "was removed; commit" in error.line()
    place.write_text(content)
    assert look("error") == []


@pytest.mark.slow
@pytest.mark.parametrize("side", ["--ours", "--theirs"])
def test_a_lock_in_conflict_is_an_error_and_either_side_mends_it(repository, side):
    run(repository, "git", "tag", "start")
    for branch, letter in (("other", "b"), ("mine", "c")):
        run(repository, "git", "checkout", "--quiet", "-b", branch, "start")
        (repository / "dvc.yaml").write_text(GRAPH.replace("echo a", f"echo {letter}"))
        run(repository, "dvc", "repro", "--quiet")
        commit(repository, letter)
    run(repository, "git", "merge", "--quiet", "other", code=1)
    run(repository, "git", "checkout", "--ours", "dvc.yaml")
    (error,) = look("error")
    assert (error.exit_code, error.subject) == (2, "dvc.lock")
    assert "unresolved merge" in error.line()
    run(repository, "git", "checkout", side, "dvc.lock")
    run(repository, "dvc", "repro", "--quiet")
    assert (repository / "a.txt").read_text() == "c\n"
    assert look("error") == look("warning") == []


@pytest.mark.parametrize("name", ["params.yaml", "data/x/raw.dvc"])
def test_other_files_in_conflict_are_one_line(repository, name):
    file = Path(name)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("<<<<<<< HEAD\na: 1\n=======\na: 2\n>>>>>>> other\n")
    with pytest.raises(ParamsError, match="has the markers of an unresolved merge"):
        refuse_conflict(file)


def test_f9_an_edit_is_kept_before_dvc_replaces_it(repository):
    assert list(keep_edited()) == []
    for name, text in (("d/2", "mine\n"), ("d/3", "more\n"), ("a.txt", "A\n")):
        (repository / name).unlink(missing_ok=True)
        (repository / name).write_text(text)
    kept = dict(keep_edited())
    assert [each.as_posix() for each in kept] == ["a.txt", "d/2", "d/3"]
    assert dict(keep_edited()) == kept
    run(repository, "dvc", "repro", "--quiet")
    assert (repository / "d/2").read_text() == "two\n"
    assert [each.read_text() for each in kept.values()] == ["A\n", "mine\n", "more\n"]
    assert list(keep_edited()) == []


def test_f5_another_host_is_refused_and_a_restarted_one_taken_over(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    LOCK.parent.mkdir(parents=True)
    LOCK.write_text(json.dumps({"host": "elsewhere", "pid": 7, "boot": "x"}))
    with pytest.raises(MachineError, match=r"on the host 'elsewhere'.*one clone for each host"):
        repro_lock().__enter__()
    LOCK.write_text(json.dumps({"host": platform.node(), "pid": 7, "boot": "x"}))
    with repro_lock():
        assert json.loads(LOCK.read_text())["boot"] != "x"
    assert "taken over" in capsys.readouterr().err
    assert LOCK.read_text() == ""


def test_f4_a_second_one_waits_as_long_as_it_is_told(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    code = "import time; from pipeline.doctor.repro_lock import repro_lock\n"
    code += "with repro_lock(): print('held', flush=True); time.sleep(3)"
    with subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, cwd=tmp_path
    ) as holder:
        assert holder.stdout.readline() == b"held\n"
        with pytest.raises(MachineError, match=f"PID {holder.pid}"):
            repro_lock().__enter__()
        start = time.monotonic()
        with repro_lock(60):
            assert time.monotonic() - start < 30
    assert f"(PID {holder.pid}" in capsys.readouterr().err


def test_what_others_lack_is_told_with_its_remedy(repository, tmp_path):
    told = list(check_sharing(ask_remote=True))
    assert [each.line() for each in told] == ["dvc remote: it holds all that the lock files name"]
    run(repository, "git", "clone", "--quiet", "--bare", ".", str(tmp_path / "bare"))
    run(repository, "git", "remote", "add", "origin", str(tmp_path / "bare"))
    run(repository, "git", "push", "--quiet", "--set-upstream", "origin", "HEAD")
    (repository / "dvc.yaml").write_text(GRAPH.replace("echo a", "echo b"))
    run(repository, "dvc", "repro", "--quiet")
    assert [each.line() for each in check_sharing(ask_remote=False)] == [
        "git: 2 files are not committed as they are, first: dvc.lock "
        "(commit them; until then runs record a patch)"
    ]
    commit(repository, "b")
    assert [each.line() for each in check_sharing(ask_remote=True)] == [
        "git: 1 commits are not pushed (run `dvc push`, then `git push`)",
        "dvc remote: 1 outputs are not there, first: a.txt (run `dvc push`)",
    ]
    object_of(b"b\n").unlink()
    assert (
        "neither there nor in the cache, first: a.txt"
        in list(check_sharing(ask_remote=True))[-1].line()
    )
