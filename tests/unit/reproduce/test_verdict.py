"""A rebuild is judged by digests first, and by predictions only under another fingerprint."""

import copy

import numpy as np
import pytest

from pipeline.ground.errors import IntegrityError, ParamsError
from pipeline.ground.files import read_json
from pipeline.ground.tables import read_table, write_table
from pipeline.keys.keys import Recorded
from pipeline.repo.lock import Lock
from pipeline.reproduce.verdict import Verdict, find_differences, judge_rebuild
from tests.support.published import FINGERPRINT, RESULTS, Project

OTHER = FINGERPRINT | {"cpu": "AVX512"}


@pytest.fixture
def project(tmp_path):
    return Project(tmp_path)


def recorded(lock):
    return Recorded(Lock(lock, "dvc.lock"))


def predictions(project, tmp_path, shift):
    """Give predictions.parquet as it is, and one with every probability shifted."""
    old = project.folder / RESULTS.predictions
    new = tmp_path / "new.parquet"
    table = read_table(old)
    table["p_a/b"], table["p_c"] = table["p_a/b"] + shift, table["p_c"] - shift
    table["predicted"] = np.where(table["p_a/b"] > 0.5, "a/b", "c")
    write_table(new, table)
    return old, new


def judged(project, predictions, *, old=FINGERPRINT, new=OTHER):
    lock = copy.deepcopy(project.lock)
    lock["stages"]["train"]["outs"][0]["md5"] = "b" * 32
    differences = find_differences(recorded(project.lock), recorded(lock))
    bundle = read_json(project.folder / RESULTS.bundle)
    return judge_rebuild(
        differences, artifacts=9, fingerprints=(old, new), predictions=predictions, bundle=bundle
    )


def test_equal_digests_are_bit_identical(project):
    same = find_differences(recorded(project.lock), recorded(project.lock))
    assert same == ()
    judgment = judge_rebuild(
        same,
        artifacts=9,
        fingerprints=(FINGERPRINT, OTHER),
        predictions=(None, project.folder),
        bundle={},
    )
    assert judgment.outcome == "bit-identical"


def test_differences_come_in_pipeline_order_inputs_first(project):
    stages = project.lock["stages"]
    stages["transform"]["deps"].append(stages["clean"]["outs"][0])
    lock = copy.deepcopy(project.lock)
    lock["stages"]["evaluate"]["outs"][1]["md5"] = "b" * 32
    lock["stages"]["clean"]["deps"][0]["md5"] = "c" * 32 + ".dir"
    lock["stages"]["transform"]["outs"] = []
    lock["stages"] = dict(reversed(lock["stages"].items()))
    with pytest.raises(ParamsError):  # a lock without the store is not finished
        recorded({"stages": {"clean": lock["stages"]["clean"]}})
    found = find_differences(recorded(project.lock), recorded(lock))
    assert [(each.path, each.is_input, each.rebuilt is None) for each in found] == [
        ("data/cells/raw", True, False),
        ("artifacts/transform/store.json", False, True),
        ("artifacts/evaluate/metrics.json", False, False),
    ]


def test_another_fingerprint_within_the_tolerance(project, tmp_path):
    judgment = judged(project, predictions(project, tmp_path, 9e-4))
    assert judgment.outcome == "within tolerance"
    assert "cpu AVX2 -> AVX512" in judgment.reason
    assert judgment.largest == pytest.approx(9e-4)


def test_another_fingerprint_beyond_the_tolerance(project, tmp_path):
    judgment = judged(project, predictions(project, tmp_path, 2e-3))
    assert judgment.outcome == "different"
    assert "8 of 8 predictions" in judgment.reason


@pytest.mark.parametrize("old", [OTHER, None])
def test_nothing_excuses_a_difference_under_the_same_or_an_unknown_fingerprint(
    project, tmp_path, old
):
    same = predictions(project, tmp_path, 0.0)
    assert judged(project, same, old=old).outcome == "different"


def test_without_the_recorded_predictions_it_is_different(project, tmp_path):
    judgment = judged(project, (None, predictions(project, tmp_path, 0.0)[1]))
    assert judgment.outcome == "different"
    assert "not to be had" in judgment.reason


def test_other_items_are_another_result(project, tmp_path):
    old, new = predictions(project, tmp_path, 0.0)
    write_table(new, read_table(new).head(7))
    assert judged(project, (old, new)).outcome == "different"


def test_a_different_one_names_the_artifact_and_ends_with_5(project, tmp_path):
    judgment = judged(project, predictions(project, tmp_path, 2e-3))
    verdict = Verdict("a run", "k", "c" * 40, False, ("clean",), (), judgment, OTHER, tmp_path)
    with pytest.raises(IntegrityError) as raised:
        verdict.raise_if_different()
    assert str(raised.value).startswith("artifacts/train/model.safetensors: different: the first")
    assert raised.value.exit_code == 5
    assert verdict.as_json()["verdict"] == "different"
    assert verdict.as_text().splitlines()[-1].startswith("different: a run made again from cccc")
