"""What DVC keeps about itself is looked at, and mended on request where nothing can be lost."""

import subprocess
import sys
import time

import psutil
import pytest

from pipeline.doctor.remote import check_remotes, explain
from pipeline.doctor.repository import check_repository, running_dvc
from pipeline.ground.findings import gather
from pipeline.ground.params import read_params
from tests.support.closure import ROOT
from tests.support.project import ENVIRONMENT, run

LOCK = "schema: '2.0'\nstages:\n  a:\n    cmd: echo a > a.txt\n"
GRAPH = "stages:\n  a:\n    cmd: echo a > a.txt\n    outs: [a.txt]\n"


CORE = "[core]\n    analytics = false\n"


def configure(folder, text):
    """Write DVC's configuration as its own commands would, which take a second each."""
    (folder / ".dvc/config").write_text(text)


def default_remote(name, url):
    return f"{CORE}    remote = {name}\n['remote \"{name}\"']\n    url = {url}\n"


@pytest.fixture
def repository(tmp_path, monkeypatch):
    """Enter a git and DVC repository with one stage, committed."""
    monkeypatch.chdir(tmp_path)
    run(tmp_path, "git", "init", "--quiet")
    (tmp_path / ".dvc").mkdir()
    (tmp_path / ".dvc/.gitignore").write_text("/cache\n/tmp\n/config.local\n")
    configure(tmp_path, CORE)
    (tmp_path / "dvc.yaml").write_text(GRAPH)
    (tmp_path / "dvc.lock").write_text(LOCK)
    run(tmp_path, "git", "add", "--all")
    run(tmp_path, "git", "commit", "--quiet", "--message", "a")
    return tmp_path


def look(*, fix=False):
    return gather("dvc", check_repository(fix=fix, params_are_right=True))


def lines(level, *, fix=False):
    return [each.line() for each in look(fix=fix)[0] if each.level == level]


def test_a_sound_repository_is_told_so(repository):
    assert lines("warning") == lines("error") == []
    assert "dvc.yaml: 1 stages and tracked data, and no cycle" in lines("ok")


def test_outside_of_git_and_dvc_one_line_says_what_to_do(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    (line,) = lines("error")
    assert "this is no git repository" in line
    run(tmp_path, "git", "init", "--quiet")
    (line,) = lines("error")
    assert line.startswith(".dvc: this is no DVC repository")
    (tmp_path / "below").mkdir()
    monkeypatch.chdir(tmp_path / "below")
    (line,) = lines("error")
    assert "or `dvc init --subdir`" in line


@pytest.mark.parametrize("shared", [False, True], ids=["own-dvc", "dvc-at-the-top"])
def test_a_project_in_a_subfolder_is_looked_at_as_any_other(repository, monkeypatch, shared):
    below = repository / "ml"
    below.mkdir()
    moved = ["dvc.yaml", "dvc.lock", *([] if shared else [".dvc"])]
    for name in moved:
        (repository / name).rename(below / name)
    (repository / "dvc.lock").write_text("of another: project")
    run(repository, "git", "add", "--all")
    run(repository, "git", "commit", "--quiet", "--message", "moved")
    monkeypatch.chdir(below)
    assert lines("warning") == lines("error") == []
    assert "dvc.yaml: 1 stages and tracked data, and no cycle" in lines("ok")
    (below / "dvc.lock").write_text(LOCK[:25])
    assert any("is restored from the last commit" in each for each in lines("ok", fix=True))
    assert (below / "dvc.lock").read_text() == LOCK
    rwlock = (repository if shared else below) / ".dvc/tmp/rwlock"
    rwlock.parent.mkdir(exist_ok=True)
    rwlock.write_text("")
    (line,) = lines("error")
    assert line.startswith(f"{'../' if shared else ''}.dvc/tmp/rwlock: is cut or damaged")


def test_a_git_that_refuses_is_told_with_its_own_remedy(repository, monkeypatch):
    monkeypatch.setenv("GIT_TEST_ASSUME_DIFFERENT_OWNER", "1")
    (error,) = [each for each in look()[0] if each.level == "error"]
    assert error.exit_code == 4
    assert "dubious ownership" in error.text
    assert error.remedy == f"run `git config --global --add safe.directory {repository}`"


WITHOUT_A_NAME = """
import sys
from pipeline.ground.findings import gather
from pipeline.doctor.repository import check_repository
from pipeline.ground.stage import begin_process

begin_process()
for each in gather("dvc", check_repository(fix=False, params_are_right=True))[0]:
    print(each.level, each.line())
"""


def test_dvc_is_asked_also_as_a_user_without_a_name_or_a_home(repository):
    command = [
        "unshare",
        "--user",
        "--map-user=54321",
        "--map-group=54321",
        "env",
        "-u",
        "HOME",
        "-u",
        "USER",
        "-u",
        "LOGNAME",
        "-u",
        "USERNAME",
    ]
    if subprocess.run([*command, "true"], check=False, capture_output=True).returncode:
        pytest.skip("this machine makes no user namespaces")
    environment = {
        "PYTHONPATH": str(ROOT),
        "GIT_CONFIG_COUNT": "1",
        "GIT_CONFIG_VALUE_0": "*",
        "GIT_CONFIG_KEY_0": "safe.directory",
    }
    told = run(repository, *command, sys.executable, "-c", WITHOUT_A_NAME, env=environment).stdout
    assert "ok dvc.yaml: 1 stages and tracked data, and no cycle" in told.splitlines()


def test_settings_that_cost_privacy_or_data_are_warnings(repository):
    configure(repository, "[core]\n    analytics = true\n[cache]\n    type = hardlink,copy\n")
    told = lines("warning")
    assert any("core.analytics: DVC reports its use" in line for line in told)
    assert any("cache.type: hardlink" in line for line in told)


def test_a_broken_configuration_is_one_line(repository):
    configure(repository, "[core]\n    analytics = perhaps\n")
    (error,) = [each for each in look()[0] if each.level == "error"]
    assert error.exit_code == 2
    assert error.line().startswith(".dvc/config: config file error")


@pytest.mark.parametrize(
    "content", ["", '{"write": {"a": {"pi', "[1]"], ids=["empty", "cut", "list"]
)
def test_a_stale_rwlock_is_removed_on_request(repository, content):
    rwlock = repository / ".dvc/tmp/rwlock"
    rwlock.parent.mkdir(exist_ok=True)
    rwlock.write_text(content)
    assert "RWLock" in run(repository, "dvc", "repro", code=255).stderr
    (line,) = lines("error")
    assert line.startswith(".dvc/tmp/rwlock: is cut or damaged")
    assert rwlock.exists()
    assert any("is removed" in each for each in lines("ok", fix=True))
    assert not rwlock.exists()
    run(repository, "dvc", "repro")


def test_a_rwlock_is_left_to_a_dvc_that_runs(repository):
    (repository / "dvc.yaml").write_text(GRAPH.replace("echo a", "sleep 60 && echo a"))
    process = subprocess.Popen(
        [sys.executable, "-m", "dvc", "repro"],
        cwd=repository,
        env=ENVIRONMENT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    rwlock, stage = repository / ".dvc/tmp/rwlock", []
    try:
        deadline = time.monotonic() + 30
        while not stage:
            assert time.monotonic() < deadline, "dvc did not start its stage"
            time.sleep(0.1)
            stage = psutil.Process(process.pid).children(recursive=True)
        assert running_dvc(repository) == [process.pid]
        assert any(f"DVC is running here (PID {process.pid})" in each for each in lines("warning"))
        rwlock.write_text("")
        (line,) = lines("error", fix=True)
        assert "wait for the DVC that runs" in line
        assert rwlock.exists()
    finally:
        for each in [psutil.Process(process.pid), *stage]:
            each.kill()
        process.wait()


def test_a_cut_lock_file_is_restored_from_the_backup_or_the_last_commit(repository):
    lock, backup = repository / "dvc.lock", repository / ".rootstock/backup/dvc.lock"
    lock.write_text(LOCK[:25])
    assert any("dvc.lock: is cut or damaged" in each for each in lines("error"))
    assert any("is restored from the last commit" in each for each in lines("ok", fix=True))
    assert lock.read_text() == LOCK
    assert backup.with_name("dvc.lock.damaged").read_text() == LOCK[:25]
    backup.write_text(LOCK.replace("  a:", "  b:"))
    lock.write_text("")
    assert any("is restored from .rootstock/backup" in each for each in lines("ok", fix=True))
    assert "  b:" in lock.read_text()


@pytest.mark.parametrize(
    ("text", "left"),
    [(LOCK[:25], {}), ("sche", {}), (LOCK + "  b:\n    cm", {"a": {"cmd": "echo a > a.txt"}})],
)
def test_a_cut_lock_file_without_any_copy_keeps_its_whole_entries(repository, text, left):
    run(repository, "git", "rm", "--quiet", "--cached", "dvc.lock")
    run(repository, "git", "commit", "--quiet", "--message", "no lock")
    (repository / "dvc.lock").write_text(text)
    assert any("restored as far as whole entries go" in each for each in lines("ok", fix=True))
    assert read_params(repository / "dvc.lock")["stages"] == left
    assert (repository / ".rootstock/backup/dvc.lock.damaged").read_text() == text


def test_an_unresolved_merge_is_an_error_of_params_and_not_mended(repository):
    text = "<<<<<<< HEAD\n" + LOCK
    (repository / "dvc.lock").write_text(text)
    errors = [each for each in look(fix=True)[0] if each.level == "error"]
    assert errors[0].exit_code == 2
    assert "has the markers of an unresolved merge" in errors[0].line()
    assert (repository / "dvc.lock").read_text() == text


def test_a_cycle_is_an_error_before_dvc_runs(repository):
    (repository / "dvc.yaml").write_text(
        "stages:\n  a: {cmd: x, deps: [b.txt], outs: [a.txt]}\n"
        "  b: {cmd: x, deps: [a.txt], outs: [b.txt]}\n"
    )
    (line,) = lines("error")
    assert line.startswith("dvc.yaml: DVC cannot use its files: ")
    assert "a, b" in line or "b, a" in line


def test_what_dvc_did_not_finish_is_removed_on_request(repository):
    left = repository / ".dvc/cache/files/md5/aa/.XyZ.tmp"
    left.parent.mkdir(parents=True)
    left.write_bytes(b"x" * 300_000)
    assert lines("warning") == [
        ".dvc/cache: 1 files that DVC did not finish, 0.3 MB "
        "(run `rootstock doctor --fix` to remove them)"
    ]
    assert any("are removed" in each for each in lines("ok", fix=True))
    assert not left.exists()


# --- remotes


def look_at_remotes(*, try_default=False):
    _, config = look()
    return gather("remote", check_remotes(config, try_default=try_default))[0]


def test_no_remote_is_a_warning_and_an_error_where_it_is_to_be_tried(repository):
    (found,) = look_at_remotes()
    assert found.level == "warning"
    (found,) = look_at_remotes(try_default=True)
    assert (found.level, found.exit_code) == ("error", 4)


def test_a_remote_is_written_read_and_cleared(repository, tmp_path):
    store = tmp_path / "store"
    configure(repository, default_remote("store", store))
    (found,) = look_at_remotes()
    assert "verify is off" in found.line()
    configure(repository, default_remote("store", store) + "    verify = true\n")
    found = look_at_remotes(try_default=True)
    assert [each.level for each in found] == ["ok", "ok"]
    assert "a file was written, read and deleted there" in found[-1].line()
    assert list(store.iterdir()) == []


def verify_warnings():
    return [each for each in look_at_remotes() if "verify is" in each.line()]


def test_every_remote_without_verify_is_warned_of_and_its_remedy_works(repository, tmp_path):
    """The default or not, in the shared file or this clone's own; `--fix` leaves them as they are.

    What is right for a remote is its owner's decision: reading and hashing all again costs time.
    """
    (repository / ".dvc/.gitignore").write_text("/config.local\n")
    remotes = default_remote("store", tmp_path / "a") + "['remote \"off\"']\n    url = /b\n"
    remotes += "    verify = false\n['remote \"sound\"']\n    url = /c\n    verify = true\n"
    configure(repository, remotes)
    run(repository, "dvc", "remote", "add", "--quiet", "--local", "mine", "/d")
    files = [repository / ".dvc/config", repository / ".dvc/config.local"]
    before = [file.read_bytes() for file in files]
    look(fix=True)
    found = verify_warnings()
    assert {each.subject for each in found} == {
        f"dvc remote {name}" for name in ("store", "off", "mine")
    }
    assert {each.level for each in found} == {"warning"}
    assert [file.read_bytes() for file in files] == before
    for each in found:
        run(repository, *each.remedy.removeprefix("run `").removesuffix("`").split())
    assert verify_warnings() == []
    assert b"mine" not in files[0].read_bytes()


def test_verify_in_ones_own_clone_alone_does_not_help_the_others(repository, tmp_path):
    configure(repository, default_remote("store", tmp_path / "a"))
    (repository / ".dvc/config.local").write_text("['remote \"store\"']\n    verify = true\n")
    (found,) = verify_warnings()
    assert "on in this clone only" in found.line()
    assert found.remedy.startswith("run `dvc remote modify store verify true`, and commit")


def test_a_remote_that_cannot_be_written_says_why(repository, tmp_path):
    (tmp_path / "file").write_text("no folder")
    configure(repository, default_remote("store", tmp_path / "file/below"))
    found = look_at_remotes(try_default=True)
    assert (found[-1].level, found[-1].exit_code) == ("error", 4)
    assert found[-1].line().startswith("dvc remote store: ")
    assert "\n" not in found[-1].line()


def test_a_remote_that_nobody_serves_says_so(repository):
    configure(repository, default_remote("web", "http://127.0.0.1:9/store"))
    found = look_at_remotes(try_default=True)
    assert (found[-1].level, found[-1].exit_code) == ("error", 4)
    assert "nothing listens there" in found[-1].line()


def test_missing_plugins_defaults_and_committed_secrets_are_warnings(repository):
    remote = default_remote("store", "s3://bucket/x").replace("    remote = store\n", "")
    configure(repository, remote + "    secret_access_key = very-secret\n")
    told = [each.line() for each in look_at_remotes()]
    assert any("there is no default among store" in line for line in told)
    assert any("secret_access_key is in a file that git commits" in line for line in told)
    assert not any("very-secret" in line for line in told)


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (type("NoCredentialsError", (Exception,), {})("Unable to locate"), "no credentials"),
        (PermissionError("Access Denied"), "it refuses us"),
        (OSError("403 Forbidden"), "it refuses us"),
        (OSError("Host key is not trusted"), "its host key is not the known one"),
        (OSError(-2, "Name or service not known"), "its host is not found"),
        (ConnectionRefusedError(111, "Connection refused"), "nothing listens there"),
        (OSError(28, "No space left on device"), "it is full"),
        (OSError("RequestTimeTooSkewed"), "the clocks"),
        (OSError("409 Conflict"), "its base folder is not there"),
        (TimeoutError("timed out"), "does not answer in time"),
        (ValueError("odd\nlines"), "does not work: odd lines"),
    ],
)
def test_what_remotes_raise_is_told_in_few_words(error, reason):
    told, remedy = explain(error)
    assert reason in told
    assert remedy
    assert "\n" not in told


def test_the_cause_of_an_error_counts_and_secrets_do_not_show():
    error = RuntimeError("s3://me:secret@host failed")
    error.__cause__ = ConnectionRefusedError(111, "Connection refused")
    told, _ = explain(error)
    assert told == "nothing listens there: s3://host failed"
