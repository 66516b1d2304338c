"""Budgets of recorded results of the same data add up, and by the accountant where it can."""

import json
import subprocess

import pytest
import yaml

from pipeline.promotion import budget
from pipeline.promotion.budget import find_spent
from pipeline.repo.cache import cache_folder, object_path


def privacy(epsilon, unit="item"):
    return {"epsilon": epsilon, "delta": 1e-5, "clip": 0.1, "center": 0.1, "unit": unit}


@pytest.fixture
def project(tmp_path):
    git(tmp_path, "init", "-q")
    (tmp_path / ".dvc").mkdir()
    return tmp_path


def git(folder, *words):
    who = ["-c", "user.name=a", "-c", "user.email=a@b.c"]
    subprocess.run(["git", *who, *words], cwd=folder, check=True)


def record(folder, model, told, *, multiplier=None, data="data/a/raw"):
    """Commit a result; its bundle is in the cache if there is a multiplier."""
    md5 = f"a{model:031x}"
    outs = [
        {"path": "t/model.safetensors", "md5": md5},
        {"path": "t/bundle.json", "md5": f"b{model:031x}"},
    ]
    stages = {
        "clean": {"params": {"params.yaml": {"data.path": data}}},
        "train": {"params": {"params.yaml": {"train": {"privacy": told}}}, "outs": outs},
    }
    (folder / "dvc.lock").write_text(yaml.safe_dump({"schema": "2.0", "stages": stages}))
    if multiplier:
        path = object_path(cache_folder(folder), f"b{model:031x}")
        path.parent.mkdir(parents=True, exist_ok=True)
        releases = [{"multiplier": multiplier, "rate": 1.0, "steps": 1}]
        path.write_text(json.dumps({"privacy": {"releases": releases}}))
    git(folder, "add", "dvc.lock")
    git(folder, "commit", "-qm", str(model))


def test_without_a_private_result_there_is_nothing_to_tell(project):
    record(project, 1, None)
    assert find_spent(project) == []


def test_budgets_are_summed_where_the_bundles_are_away(project):
    record(project, 1, privacy(2.0))
    record(project, 2, privacy(3.0))
    record(project, 3, None)
    (spent,) = find_spent(project)
    assert (spent.results, spent.plain, spent.epsilon, spent.is_composed) == (2, 1, 5.0, False)
    assert spent.delta == pytest.approx(2e-5)
    assert spent.told() == (
        "privacy: data/a/raw: 2 private results told epsilon 5, delta 2e-05 of each item of train "
        "(summed); 1 others promise nothing"
    )


def test_the_accountant_composes_what_bundles_tell(project, monkeypatch):
    seen = []
    monkeypatch.setattr(budget, "epsilon_of", lambda each, delta: seen.append((each, delta)) or 4.2)
    record(project, 1, privacy(2.0), multiplier=2.0)
    record(project, 2, privacy(3.0), multiplier=1.5)
    (spent,) = find_spent(project)
    assert (spent.epsilon, spent.is_composed) == (4.2, True)
    ((releases, delta),) = seen
    assert sorted(each.multiplier for each in releases) == [1.5, 2.0]
    assert delta == pytest.approx(2e-5)


def test_one_model_counts_once_and_each_folder_for_itself(project):
    record(project, 1, privacy(2.0))
    record(project, 2, privacy(1.0), data="data/b/raw")
    record(project, 1, privacy(2.0))
    assert [(each.data, each.epsilon) for each in find_spent(project)] == [
        ("data/a/raw", 2.0),
        ("data/b/raw", 1.0),
    ]
