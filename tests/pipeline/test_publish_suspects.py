"""The suspects of a data set have one run, whatever was touched, killed or deleted."""

import json
from pathlib import Path

import pandas as pd
import pytest
import yaml

from pipeline.ground.errors import ParamsError
from pipeline.ground.files import md5_file, write_json
from pipeline.ground.tables import write_table
from pipeline.track.branches.suspects import suspects_result
from pipeline.track.params import TrackingParams
from pipeline.track.result_run import publish_run
from pipeline.track.runs import is_complete

TRACKING = TrackingParams(experiment="cells", required=True, live=False)
OUT = Path("artifacts/suspects")
FILES = {
    "table": OUT / "suspects.parquet",
    "csv": OUT / "suspects.csv",
    "report": OUT / "report.json",
    "sheets": OUT / "sheets",
}


class Suspects:
    """What the stage `suspects` and DVC leave; its methods change it as a user would."""

    def __init__(self):
        self.params = {"task": "classification", "suspects": {"folds": 5}}
        self.code, self.count, self.extra = "1" * 32, 3, 0
        self.record()

    def record(self, **changes):
        vars(self).update(changes)
        write_json(
            FILES["report"],
            {
                "items": 8,
                "note": "told apart",
                "low_information": {},
                "suspects": {"label": {"train": self.count, "val": 0, "test": 1}},
                "noise": {"wrong": 0.125, "given": {"a/b": {"a/b": 0.5, "c": 0.125}}},
                "out_of_fold": {"accuracy": 0.875},
            },
        )
        write_table(FILES["table"], pd.DataFrame({"rank": range(self.count), "x": self.extra}))
        FILES["csv"].write_text("rank\n")
        FILES["sheets"].mkdir(exist_ok=True)
        (FILES["sheets"] / "label.png").write_bytes(b"png")
        outs = [
            {"path": str(path), "md5": md5_file(path)}
            for path in (FILES["table"], FILES["csv"], FILES["report"])
        ]
        entry = {
            "deps": [{"path": "pipeline/suspects/find.py", "md5": self.code}],
            "params": {"params.yaml": self.params},
            "outs": [*outs, {"path": str(FILES["sheets"]), "md5": "9" * 32 + ".dir"}],
        }
        Path("suspects").mkdir(exist_ok=True)
        lock = yaml.safe_dump({"schema": "2.0", "stages": {"suspects": entry}})
        Path("suspects/dvc.lock").write_text(lock)
        Path("params.yaml").write_text(yaml.safe_dump(self.params))
        return self


@pytest.fixture
def suspects(repository):
    return Suspects()


def publish():
    publish_run(suspects_result(**FILES), TRACKING)


def runs(tracking):
    return tracking.client.search_runs([tracking.experiment_id])


def test_the_run_says_everything(suspects, tracking, tmp_path_factory):
    publish()
    (run,) = runs(tracking)
    metrics, tags = run.data.metrics, run.data.tags
    assert (metrics["suspects/label/train"], metrics["suspects/label/test"]) == (3, 1)
    assert metrics["noise/given/a:2Fb/c"] == 0.125
    assert run.data.params == {"task": "classification", "suspects.folds": "5"}
    assert tags["kind"] == "suspects"
    assert "| label | 3 | 0 | 1 |" in tags["mlflow.note.content"]
    assert "wrong: 12.5% of all" in tags["mlflow.note.content"]
    assert "told apart" in tags["mlflow.note.content"]
    assert is_complete(run)
    folder = tmp_path_factory.mktemp("artifacts")
    tracking.client.download_artifacts(run.info.run_id, "", str(folder))
    found = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    assert found == {
        "lineage/params.yaml",
        "lineage/suspects/dvc.lock",
        "plots/label.png",
        "results/report.json",
        "results/suspects.csv",
        "results/suspects.parquet",
    }


KEY_RULES = {
    "the same key": (lambda s: s, 1),
    "other params": (lambda s: s.record(params=s.params | {"suspects": {"folds": 3}}), 2),
    "code touched without effect": (lambda s: s.record(code="2" * 32), 1),
    "code touched, other result": (lambda s: s.record(code="2" * 32, count=4), 2),
    "the same key, other result": (lambda s: s.record(count=5), 1),
}


@pytest.mark.parametrize(("change", "count"), KEY_RULES.values(), ids=KEY_RULES)
def test_key_rules(suspects, tracking, change, count):
    publish()
    change(suspects)
    publish()
    publish()
    assert len(runs(tracking)) == count
    assert all(is_complete(run) for run in runs(tracking))


def test_another_fingerprint_confirms_and_tells_the_difference(suspects, tracking):
    publish()
    suspects.record(count=5)
    publish()
    (run,) = runs(tracking)
    md5 = md5_file(FILES["table"])
    note = json.loads(run.data.tags[f"confirmed.{md5[:8]}"])
    assert note.pop("date").startswith("20")
    assert note == {"dvc.suspects": md5, "largest_difference_of_a_count": 2.0}
    assert run.data.metrics["suspects/label/train"] == 3


def test_suspects_that_were_never_sought_are_one_line(repository):
    with pytest.raises(ParamsError, match=r"suspects/dvc\.lock: no such file"):
        publish()
