"""The stage from end to end on a small data set: a model, its audit, and what is written."""

import json

import pytest

from pipeline.ground.errors import DataError, ParamsError
from pipeline.ground.tables import write_table
from pipeline.judge.answers import open_subject
from pipeline.judge.tasks import JUDGES
from pipeline.membership.audit import Setting, train_references
from pipeline.membership.params import AuditParams
from pipeline.membership.recipe import audit_recipe, head_plan
from pipeline.membership.run import audit, write
from pipeline.train.inputs import open_parts
from pipeline.train.recipe_rules import check_plan
from pipeline.train.trainer import open_training
from tests.support.trainable import QUIET, cpu, make_sources, plan

PARAMS = AuditParams(heads=8, epochs=10, lr=0.01, members=40, shown=5)


def setting(parts, own, **changes):
    params = PARAMS.model_copy(update=changes)
    return Setting(own, parts, params, cpu(), QUIET, None)


def subject_of(parts, own, folder, sources):
    """Train, and leave what `train` and `evaluate` do."""
    training = open_training(own, parts, cpu())
    for _ in training.run(None):
        pass
    trained = training.finish()
    names = ("model.safetensors", "bundle.json", "history.csv", "kept.json", "answers.parquet")
    model, bundle, history, kept, answers = (folder / name for name in names)
    trained.write(model, bundle=bundle, history=history, kept=kept)
    rows = parts.store.rows("test")
    served = training.targets.serve(trained.outputs(rows), trained.temperature)
    index = parts.store.index.iloc[rows].reset_index(drop=True)
    table = JUDGES[own.task].table(index, served, training.targets.classes)
    write_table(answers, table)
    return open_subject(sources.store, model, bundle=bundle, predictions=answers, device="cpu")


@pytest.fixture(scope="module", params=["classification", "regression"])
def audited(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp("audit")
    values = {"labels": lambda number, level: level} if request.param == "regression" else {}
    sources = make_sources(folder / "s", items=120, **values)
    parts, own = open_parts(sources), plan(task=request.param)
    subject = subject_of(parts, own, folder, sources)
    found = audit(setting(parts, own), subject, None)
    return folder, sources, parts, own, subject, found


def test_the_report_tells_of_the_model_and_of_its_recipe(audited):
    *_, found = audited
    report = found.report
    assert (report["model"]["members"], report["model"]["others"]) == (40, 24)
    assert (
        report["recipe"]["members"] + report["recipe"]["others"] == report["recipe"]["units"] == 96
    )
    assert 0 <= report["recipe"]["epsilon_at_least"] < 3
    assert report["promised"] is None
    assert not report["model"]["tpr_at_fpr"]["1_in_100"]["possible"]
    assert "24 others are too few, 100 are needed" in report["findings"][0]
    assert len(found.model.table) == 40
    assert found.model.table["score"].is_monotonic_decreasing


def test_what_is_written_is_the_same_bytes_again(audited, tmp_path):
    _, _, parts, own, subject, found = audited
    seen = []
    for name in ("one", "two"):
        own_found = found if name == "one" else audit(setting(parts, own), subject, None)
        paths = {"report": "report.json", "exposed": "exposed.csv", "plots": "plots"}
        write(setting(parts, own), own_found, **{k: tmp_path / name / v for k, v in paths.items()})
        files = sorted(each for each in (tmp_path / name).rglob("*") if each.is_file())
        seen.append(
            {each.relative_to(tmp_path / name).as_posix(): each.read_bytes() for each in files}
        )
    assert seen[0] == seen[1]
    assert set(seen[0]) == {
        "report.json",
        "exposed.csv",
        "plots/model.csv",
        "plots/recipe.csv",
        "plots/roc.png",
        "plots/exposed.png",
    }
    rows = seen[0]["exposed.csv"].decode().splitlines()
    assert len(rows) == 1 + PARAMS.shown
    assert json.loads(seen[0]["report.json"])["heads"] == PARAMS.heads


def test_a_promise_is_compared_with_the_bound(audited):
    *_, parts, own, subject, _ = audited
    known = train_references(setting(parts, own))
    promised = {"epsilon": 2.0, "delta": 1e-6, "unit": "item"}
    found = audit_recipe(setting(parts, own), known, promised).report
    assert found["delta"] == 1e-6
    report = audit(setting(parts, own), subject, promised).report
    assert (
        "the proven bound is 2 for one item; the audit does not contradict it" in report["findings"]
    )


def test_coins_of_groups_are_flipped_where_the_promise_is_for_groups(tmp_path):
    def grouped(rows):
        return rows.assign(group=[f"g{number // 10}" for number in range(len(rows))])

    parts = open_parts(
        make_sources(tmp_path / "s", items=100, splits=("train", "train", "val"), change=grouped)
    )
    own = setting(parts, plan())
    found = audit_recipe(
        own, train_references(own), {"epsilon": 1.0, "delta": 1e-5, "unit": "group"}
    ).report
    assert (found["unit"], found["units"]) == ("group", 10)


def test_a_recipe_of_all_layers_becomes_one_of_a_head():
    own = plan(
        train={
            "strategy": "full",
            "start": "probe",
            "cutmix": 1.0,
            "unfreeze_epochs": 2,
            "batch_norm": "batch",
        },
        optim={"layer_decay": 0.5},
    )
    head = head_plan(own, 5)
    check_plan(head)
    assert head.recipe.train.batch_size == 5
    assert head.recipe.train.dropout == own.recipe.train.dropout
    assert head.recipe.optim.lr == own.recipe.optim.lr


def test_without_pooled_features_it_is_one_line(tmp_path):
    parts = open_parts(make_sources(tmp_path / "s", items=20, pooled=False))
    with pytest.raises(ParamsError, match="the stage `privacy` needs pooled features"):
        train_references(setting(parts, plan()))


def test_too_few_items_are_one_line(tmp_path):
    sources = make_sources(tmp_path / "s", items=30)
    parts, own = open_parts(sources), plan()
    subject = subject_of(parts, own, tmp_path, sources)
    with pytest.raises(DataError, match="needs 10 items of train and of test"):
        audit(setting(parts, own), subject, None)
