"""Whatever is killed, and whenever: the next `dvc repro` ends with an undisturbed run's bytes."""

import random
import signal
import subprocess
import time

import psutil
import pytest

from pipeline.doctor.preflight import check_lock
from pipeline.ground.errors import MachineError
from tests.pipeline.test_repro import hashes, published
from tests.support.processes import children
from tests.support.project import ENVIRONMENT, run, small_project

pytestmark = pytest.mark.slow

KILLS = 6


def stage_processes(dvc):
    """Give the running processes of a stage: the python ones below dvc."""
    return children(dvc.pid, "stages.", recursive=True)


def kill_somewhere(project, moment, what):
    """Start `dvc repro` and kill it, or the stage that it runs, after a while; say which."""
    process = subprocess.Popen(
        ["dvc", "repro"],
        cwd=project,
        env=ENVIRONMENT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        process.wait(timeout=moment)
    except subprocess.TimeoutExpired:
        stages = stage_processes(process)
        if what == "stage" and stages:
            victim = " ".join(name_of(each) for each in stages)
            for each in stages:
                each.send_signal(signal.SIGKILL)
        else:
            victim = " ".join(["dvc in", *map(name_of, stages)])
            process.kill()
        process.wait(timeout=300)
        _, alive = psutil.wait_procs(stages, timeout=120)  # one that starts looks once it can
        assert not alive, f"orphans go on after the kill: {alive}"
        return victim
    return "nothing, it was over"


def mend(project):
    """Do what `rootstock repro` asks for where DVC died while it wrote its lock file; say so."""
    lock = project / "dvc.lock"
    try:
        if lock.exists():
            check_lock(lock)
        return "dvc.lock is whole"
    except MachineError as error:
        assert "run `rootstock doctor --fix`" in str(error)
        fixed = run(project, "rootstock", "doctor", "--fix")
        return next(line for line in fixed.stdout.splitlines() if "was cut" in line)


def name_of(process):
    try:
        return process.cmdline()[2]
    except (psutil.NoSuchProcess, IndexError):
        return "a process that has just ended"


def test_kills_at_random_moments_cost_nothing_but_time(tmp_path):
    undisturbed = small_project(tmp_path / "undisturbed", fresh=True)
    start = time.monotonic()
    run(undisturbed, "dvc", "repro")
    whole_s = time.monotonic() - start
    disturbed = small_project(tmp_path / "disturbed", fresh=True)
    seed = random.SystemRandom().randrange(1 << 32)
    chance = random.Random(seed)
    told = []
    for number in range(KILLS):
        moment = chance.uniform(0.02, 0.3) * whole_s
        victim = kill_somewhere(disturbed, moment, ["dvc", "stage"][number % 2])
        told.append((round(moment, 2), victim, mend(disturbed)))
    print(f"seed {seed}, killed: {told}")
    run(disturbed, "dvc", "repro")
    assert hashes(disturbed) == hashes(undisturbed), f"seed {seed}: {told}"
    assert not list((disturbed / "artifacts").rglob(".tmp-*")), f"seed {seed}: {told}"
    runs, versions, aliases = published(disturbed)
    assert [status for _, status in runs] == ["FINISHED"]
    assert versions == [(1,)]
    assert aliases == [("candidate", 1), ("champion", 1)]
    cut_lock_comes_back(disturbed, hashes(undisturbed))


def cut_lock_comes_back(project, wanted):
    """DVC does not write its lock file atomically: a cut one costs no costly stage a second run.

    What DVC keeps in git (`cache: false`) it cannot restore: such a stage, whose entry is lost,
    runs again.
    """
    lock = project / "dvc.lock"
    whole = lock.read_text()
    middle = "  - path:"  # cut elsewhere, it may be YAML, and DVC goes on by itself
    lock.write_text(whole[: whole.index(middle, len(whole) // 2) + len(middle)])
    run(project, "dvc", "repro", code=255)
    assert "was cut" in mend(project)
    told = run(project, "dvc", "repro").stdout
    assert hashes(project) == wanted
    ran = {line.split("'")[1] for line in told.splitlines() if line.startswith("Running")}
    assert ran in ({"publish"}, {"normalize", "publish"})
    assert lock.read_text() == whole
