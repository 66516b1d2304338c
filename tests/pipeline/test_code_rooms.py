"""What re-runs after an edit: by the imports, as the architecture page says, and as DVC sees it."""

import json
import re
import sys

import pytest
import yaml

from tests.pipeline.test_layers import ROOMS
from tests.support import rerun
from tests.support.closure import ROOT
from tests.support.project import clone, run

GRAPHS = ("", "data/amazon/", "crossval/", "suspects/", "explain/", "privacy/")
STATUS = """
import json, sys
from pathlib import Path
from dvc.repo import Repo
answers = []
for name in json.loads(sys.argv[1]):
    path = Path(name)
    before = path.read_bytes()
    # as long as before: DVC must not tell by the size
    path.write_bytes(before.replace(b"e", b"E", 1))
    answers.append(sorted(Repo(".").status()))
    path.write_bytes(before)
    answers.append(sorted(Repo(".").status()))
print(json.dumps(answers))
"""


def test_the_page_says_what_an_edit_of_each_room_runs():
    assert rerun.written() == rerun.table(), "run `make deps`"
    assert [room for room, _, _ in rerun.rows()] == list(ROOMS)


@pytest.mark.parametrize(
    ("files", "stages"),
    [
        ("raw/archive/tar.py", {"clean", "recipe", "transform"}),
        ("raw/labels/label_file.py", {"clean"}),
        ("clean/.*", {"clean", "explain"}),
        ("keys/.*", set()),
        ("track/.*|version/.*", {"weights"}),
        ("promotion/.*|publish.py|past/.*", set()),
        ("serving/.*|predict/.*|doctor/.*|commands/.*|cli.py", set()),
        ("picture/show/.*", {"clean", "evaluate", "suspects", "privacy", "explain"}),
        ("crossval/.*", {"crossval", "suspects", "privacy"}),
        ("train/.*", {"train", "crossval", "suspects", "privacy", "explain"}),
    ],
)
def test_an_edit_runs_no_other_stage_than_these(files, stages):
    found = [
        path.relative_to(ROOT).as_posix()
        for path in rerun.FILES
        if re.fullmatch(files, path.relative_to(ROOT / "pipeline").as_posix())
    ]
    assert found, files
    for file in found:
        assert set(rerun.stages_of(file)) <= stages, file


def test_only_keys_and_journals_are_found_by_name():
    called = re.compile(r"beside\((.*?)\)")
    names = [
        name for path in (ROOT / "stages").glob("*.py") for name in called.findall(path.read_text())
    ]
    assert set(names) == {'"journal"', '"keys"'}


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A clone in which every stage counts as done: DVC commits outputs that nobody computed."""
    folder = clone(tmp_path_factory.mktemp("rooms") / "project")
    data = yaml.safe_load((folder / "params.yaml").read_text())["data"]
    (folder / data["path"]).mkdir(parents=True)
    (folder / data["path"] / "labels.csv").write_text("path,label\n")
    for graph in GRAPHS:
        stages = yaml.safe_load((folder / graph / "dvc.yaml").read_text())["stages"]
        for stage in stages.values():
            for out in [*stage.get("outs", []), *stage.get("metrics", [])]:
                path = folder / (out if isinstance(out, str) else next(iter(out)))
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(path.name)
    run(folder, "dvc", "commit", "--force", "--quiet")
    return folder


@pytest.mark.slow
def test_dvc_sees_an_edit_through_the_links_and_nothing_else(finished):
    files = [
        "pipeline/raw/archive/tar.py",
        "pipeline/keys/journal.py",
        "pipeline/keys/keys.py",
        "pipeline/track/connection.py",
        "pipeline/picture/net/backbones.py",
        "pipeline/train/loop.py",
        "pipeline/judge/metrics.py",
        "stages/clean.py",
    ]
    done = run(finished, sys.executable, "-W", "ignore", "-c", STATUS, json.dumps(files))
    answers = json.loads(done.stdout.splitlines()[-1])
    nothing = answers[1]
    for file, edited, restored in zip(files, answers[::2], answers[1::2], strict=True):
        assert restored == nothing, f"{file}: put back, and something would run"
        assert all(name.endswith("publish") for name in nothing)
        changed = {name.split(":")[-1] for name in edited if not name.endswith("publish")}
        expected = (
            {file.split("/")[1].removesuffix(".py")}
            if file.startswith("stages/")
            else set(rerun.stages_of(file))
        )
        assert changed == expected, file
