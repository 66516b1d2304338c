"""What explains a model has one run, whatever was touched, killed or deleted."""

import json
from pathlib import Path

import pandas as pd
import pytest
import yaml

from pipeline.ground.errors import ParamsError
from pipeline.ground.files import md5_file, write_json
from pipeline.ground.tables import write_table
from pipeline.track.branches.explain import explain_result
from pipeline.track.params import TrackingParams
from pipeline.track.result_run import publish_run
from pipeline.track.runs import COMPLETE, PARENT, is_complete

TRACKING = TrackingParams(experiment="cells", required=True, live=False)
OUT = Path("artifacts/explain")
FILES = {
    "report": OUT / "report.json",
    "heat": OUT / "heat.parquet",
    "card": OUT / "card.md",
    "page": OUT / "card.html",
    "plots": OUT / "plots",
}
MODEL = "d" * 32


class Explanation:
    """What the stage `explain` and DVC leave; its methods change it as a user would."""

    def __init__(self):
        self.params = {"explain": {"items": 1000, "slices": "auto"}}
        self.code, self.heat = "1" * 32, 0.25
        self.record()

    def record(self, **changes):
        vars(self).update(changes)
        write_json(
            FILES["report"],
            {
                "items": 8,
                "warnings": ["look out"],
                "findings": ["It looks at cracks."],
                "looking": {
                    "items": 8,
                    "layer": "last",
                    "border": {"area": 0.36, "heat": {"mean": self.heat}},
                },
                "sanity": {"maps_depend_on_weights": True, "head": {"mean": 0.125}},
                "slices": {
                    "text": "No slice is told from the rest.",
                    "slices": [
                        {
                            "column": "side",
                            "value": "a/b",
                            "n": 40,
                            "score": 0.5,
                            "low": 0.25,
                            "high": None,
                            "difference": None,
                            "claim": "none",
                        }
                    ],
                },
            },
        )
        write_table(FILES["heat"], pd.DataFrame({"border": [self.heat]}))
        FILES["card"].write_text("# Model card\n")
        FILES["page"].write_text("<!doctype html>")
        FILES["plots"].mkdir(exist_ok=True)
        (FILES["plots"] / "slices.png").write_bytes(b"png")
        outs = [
            {"path": str(path), "md5": md5_file(path)}
            for path in (FILES["report"], FILES["heat"], FILES["card"], FILES["page"])
        ]
        entry = {
            "deps": [
                {"path": "pipeline/explain/run.py", "md5": self.code},
                {"path": "artifacts/train/model.safetensors", "md5": MODEL},
            ],
            "params": {"params.yaml": self.params},
            "outs": [*outs, {"path": str(FILES["plots"]), "md5": "9" * 32 + ".dir"}],
        }
        Path("explain").mkdir(exist_ok=True)
        lock = yaml.safe_dump({"schema": "2.0", "stages": {"explain": entry}})
        Path("explain/dvc.lock").write_text(lock)
        Path("params.yaml").write_text(yaml.safe_dump(self.params))
        return self


@pytest.fixture
def explanation(repository):
    return Explanation()


def publish():
    publish_run(explain_result(**FILES), TRACKING)


def runs(tracking):
    return tracking.client.search_runs([tracking.experiment_id])


def test_the_run_says_everything(explanation, tracking, tmp_path_factory):
    publish()
    (run,) = runs(tracking)
    metrics, tags = run.data.metrics, run.data.tags
    assert metrics["explain/looking/border/heat/mean"] == 0.25
    assert metrics["explain/sanity/head/mean"] == 0.125
    assert metrics["explain/slices/side/a:2Fb/score"] == 0.5
    assert "explain/slices/side/a:2Fb/high" not in metrics
    assert run.data.params == {"explain.items": "1000", "explain.slices": "auto"}
    assert (tags["kind"], tags["explain.model"]) == ("explain", MODEL)
    assert "dvc.model" not in tags  # that tag is of the runs of models
    assert tags["explain.warnings"] == "look out"
    for text in ("It looks at cracks.", "**Warning:** look out", "told from the rest"):
        assert text in tags["mlflow.note.content"]
    assert is_complete(run)
    folder = tmp_path_factory.mktemp("artifacts")
    tracking.client.download_artifacts(run.info.run_id, "", str(folder))
    found = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    assert found == {
        "lineage/params.yaml",
        "lineage/explain/dvc.lock",
        "plots/slices.png",
        "results/report.json",
        "results/heat.parquet",
        "results/card.md",
        "results/card.html",
    }


KEY_RULES = {
    "the same key": (lambda e: e, 1),
    "other params": (lambda e: e.record(params={"explain": {"items": 5}}), 2),
    "code touched without effect": (lambda e: e.record(code="2" * 32), 1),
    "code touched, other result": (lambda e: e.record(code="2" * 32, heat=0.5), 2),
    "the same key, other result": (lambda e: e.record(heat=0.5), 1),
}


@pytest.mark.parametrize(("change", "count"), KEY_RULES.values(), ids=KEY_RULES)
def test_key_rules(explanation, tracking, change, count):
    publish()
    change(explanation)
    publish()
    publish()
    assert len(runs(tracking)) == count
    assert all(is_complete(run) for run in runs(tracking))


def test_another_fingerprint_confirms_and_tells_the_difference(explanation, tracking):
    publish()
    explanation.record(heat=0.5)
    publish()
    (run,) = runs(tracking)
    md5 = md5_file(FILES["report"])
    note = json.loads(run.data.tags[f"confirmed.{md5[:8]}"])
    assert note.pop("date").startswith("20")
    assert note == {"dvc.report": md5, "largest_difference_of_a_figure": 0.25}


def test_a_model_that_was_never_explained_is_one_line(repository):
    with pytest.raises(ParamsError, match=r"explain/dvc\.lock: no such file"):
        publish()


def test_it_is_nested_in_the_run_of_its_model_whichever_was_published_first(explanation, tracking):
    publish()
    (run,) = runs(tracking)
    assert PARENT not in run.data.tags
    client = tracking.client
    tags = {"dvc.model": MODEL, COMPLETE: "true"}
    first, second = (
        client.create_run(tracking.experiment_id, tags=tags).info.run_id for _ in range(2)
    )
    client.create_run(tracking.experiment_id, tags={**tags, "dvc.model": "e" * 32})
    for above in (first, second):
        publish()
        publish()
        assert client.get_run(run.info.run_id).data.tags[PARENT] == above
        client.delete_run(above)
    publish()
    assert len(runs(tracking)) == 2
