"""`rootstock doctor` on a real clone: all that is wrong in one look, and nothing is changed."""

import json

import pytest

from tests.support.project import add_small_data, clone, commit, run, set_params

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    folder = clone(tmp_path_factory.mktemp("doctor") / "own dätä")
    add_small_data(folder, items=60)
    commit(folder, "own data")
    return folder


def state(project):
    return run(project, "git", "status", "--porcelain", "--ignored").stdout


def test_a_fresh_clone_with_own_data_is_ready(project):
    before = state(project)
    done = run(project, "rootstock", "doctor")
    assert done.stderr == ""
    lines = done.stdout.splitlines()
    assert not [line for line in lines if line.startswith("error")]
    checks = {line.split()[1] for line in lines if line.startswith(("ok", "warning"))}
    assert checks == {
        "params",
        "data",
        "disk",
        "weights",
        "device",
        "tracking",
        "dvc",
        "remote",
        "locks",
        "packages",
    }
    assert lines[-1].startswith("no errors, 2 warnings: `rootstock repro` can start")
    assert state(project) == before


def test_everything_that_is_wrong_is_told_in_one_look(project):
    set_params(
        project,
        optim={"lr": -1.0},
        train={"monitor": "mae"},
        runtime={"device": "mps"},
        weights={"sha256": "0" * 64},
        tracking={"required": True},
    )
    (project / "data/small/raw/out.png").symlink_to("/etc/hostname")
    (project / ".dvc/tmp").mkdir(exist_ok=True)
    (project / ".dvc/tmp/rwlock").write_text("")
    env = {"MLFLOW_TRACKING_URI": "http://me:secret@127.0.0.1:9"}
    try:
        done = run(project, "rootstock", "doctor", "--json", code=2, env=env)
    finally:
        run(project, "git", "checkout", "--quiet", "params.yaml")
        (project / "data/small/raw/out.png").unlink()
        (project / ".dvc/tmp/rwlock").unlink()
    told = json.loads(done.stdout)
    assert told["exit_code"] == 2
    errors = [
        (each["check"], each["exit_code"]) for each in told["findings"] if each["level"] == "error"
    ]
    assert errors == [
        ("params", 2),
        ("params", 2),
        ("data", 3),
        ("weights", 5),
        ("device", 4),
        ("tracking", 6),
        ("dvc", 4),
    ]
    assert "secret" not in done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    assert done.stderr.startswith("error: params.yaml: optim.lr: must be greater than 0, got -1.0")
    assert len(done.stderr.splitlines()) == 1


def test_repro_refuses_a_late_typo_before_dvc_starts(project):
    set_params(project, registry={"metric": "acuracy"})
    done = run(project, "rootstock", "repro", code=2)
    run(project, "git", "checkout", "--quiet", "params.yaml")
    assert "registry.metric: must be one of" in done.stderr
    assert "Running stage" not in done.stdout
