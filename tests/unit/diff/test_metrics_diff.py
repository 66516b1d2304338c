"""`rootstock metrics diff`: which numbers stand first, which way is better, what is not known."""

import json

import pytest

from pipeline.diff import metrics_diff as metricsdiff
from pipeline.diff.metrics_diff import FOLDS, TEST, changed_stages, diff_metrics
from pipeline.ground.errors import IntegrityError, ParamsError
from tests.support.project import commit, run

OLD = {
    "accuracy": 0.8,
    "balanced_accuracy": 0.7,
    "f1_macro": 0.75,
    "loss": 0.5,
    "n": 100,
    "roc_auc": 0.9,
    "baseline": {"accuracy": 0.6},
    "ci95": {"accuracy": {"low": 0.7, "high": 0.9}},
    "per_class": {"a|b": {"f1": 0.5, "n": 40}},
}


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Give a repository with committed metrics; that its stages fit is not asked."""
    monkeypatch.setattr(metricsdiff, "changed_stages", lambda root: [])
    run(tmp_path, "git", "init", "--quiet")
    write(tmp_path, OLD)
    commit(tmp_path, "a")
    return tmp_path


def write(folder, metrics, path=TEST):
    (folder / path).parent.mkdir(parents=True, exist_ok=True)
    (folder / path).write_text(json.dumps(metrics))


def rows(text):
    """Give name -> (before, now, change, better or worse)."""
    cells = [
        line.replace("\\|", "!").split("|")[1:-1]
        for line in text.splitlines()
        if line.startswith("| `")
    ]
    return {row[0].strip(" `"): [cell.strip() for cell in row[1:5]] for row in cells}


def test_main_numbers_first_and_which_way_is_better(folder):
    write(
        folder,
        OLD
        | {
            "accuracy": 0.9,
            "loss": 0.6,
            "n": 90,
            "f1_macro": 0.7500001,
            "per_class": {"a|b": {"f1": 0.25, "n": 30}},
        },
    )
    text = diff_metrics(folder, "HEAD")
    found = rows(text)
    assert list(found) == [
        "accuracy",
        "balanced_accuracy",
        "f1_macro",
        "roc_auc",
        "loss",
        "n",
        "per_class.a!b.f1",
        "per_class.a!b.n",
    ]
    assert found["accuracy"] == ["0.8000", "0.9000", "+0.1000", "better"]
    assert found["loss"] == ["0.5000", "0.6000", "+0.1000", "worse"]
    assert found["n"] == ["100", "90", "-10", ""]
    assert found["roc_auc"] == ["0.9000", "0.9000", "", ""]
    assert found["f1_macro"][2:] == ["+1.0e-07", "better"]
    assert found["per_class.a!b.f1"][2:] == ["-0.2500", "worse"]
    assert found["per_class.a!b.n"][2:] == ["-10", ""]
    assert "0.7000 to 0.9000 |" in text
    assert "6 numbers differ" in text


def test_nothing_changed(folder):
    text = diff_metrics(folder, "HEAD")
    assert "no number changed" in text
    assert rows(text)["accuracy"] == ["0.8000", "0.8000", "", ""]
    assert "<details>" not in text


def test_a_side_without_numbers(folder):
    write(folder, {"mean": {"accuracy": 0.7}, "n": 100, "fold": {"repeat-1": {}}}, FOLDS)
    text = diff_metrics(folder, "HEAD")
    assert "**Cross-validation**: " in text
    assert "has no result to compare with" in text
    assert text.splitlines()[-2:] == [
        "| `accuracy` | - | 0.7000 |  |  |  |",
        "| `n` | - | 100 |  |  |  |",
    ]
    (folder / TEST).unlink()
    assert "**Test split**: no result here" in diff_metrics(folder, "HEAD")


def test_what_cannot_be_compared(folder):
    with pytest.raises(ParamsError, match="git knows no such revision, got 'nowhere'"):
        diff_metrics(folder, "nowhere")
    (folder / TEST).write_text("<<<<<<< ours\n")
    with pytest.raises(IntegrityError, match=r"metrics\.json: must be JSON"):
        diff_metrics(folder, "HEAD")


def test_stages_that_changed_since_their_lock(tmp_path):
    """Code, a param and a result changed; what was only never pulled is no change."""
    run(tmp_path, "git", "init", "--quiet")
    run(tmp_path, "dvc", "init", "--quiet")
    (tmp_path / "code.py").write_text("1\n")
    (tmp_path / "params.yaml").write_text("p: 1\n")
    (tmp_path / "dvc.yaml").write_text(
        "stages:\n"
        "  first: {cmd: echo 1 > first.txt, deps: [code.py], outs: [first.txt]}\n"
        "  second: {cmd: echo 2 > second.txt, deps: [first.txt], params: [p],\n"
        "           outs: [second.txt: {cache: false}]}\n"
    )
    run(tmp_path, "dvc", "repro", "--quiet")
    commit(tmp_path, "a")
    assert changed_stages(tmp_path) == []
    (tmp_path / "first.txt").unlink()
    assert changed_stages(tmp_path) == []
    (tmp_path / "code.py").write_text("2\n")
    assert changed_stages(tmp_path) == ["first"]
    (tmp_path / "code.py").unlink()
    assert changed_stages(tmp_path) == ["first"]
    (tmp_path / "params.yaml").write_text("p: 2\n")
    assert changed_stages(tmp_path) == ["first", "second"]
