"""A training goes from files to files: right targets, right model, same bytes, clear refusals."""

import dataclasses
import json
import logging

import numpy as np
import pandas as pd
import pytest
import torch

from pipeline.ground.errors import DataError, ParamsError
from pipeline.model.bundle import Bundle, Predictor
from pipeline.store.store import Store
from pipeline.train.checkpoint import Checkpoints
from pipeline.train.inputs import open_parts
from pipeline.train.loop import predict, validate
from pipeline.train.trainer import open_training
from pipeline.weights.tensors import load_tensors
from tests.support.trainable import cpu, make_sources, plan


@pytest.fixture(scope="module")
def sources(tmp_path_factory):
    return make_sources(tmp_path_factory.mktemp("classes"))


@pytest.fixture(scope="module")
def values(tmp_path_factory):
    return make_sources(tmp_path_factory.mktemp("values"), labels=lambda number, level: str(level))


@pytest.fixture(scope="module")
def unpooled(tmp_path_factory):
    return make_sources(tmp_path_factory.mktemp("unpooled"), items=30, pooled=False)


def train(sources, plan, folder, *, until=None):
    """Train as the stage does; stop asking after `until` epochs and write nothing, if given."""
    training = open_training(plan, open_parts(sources), cpu())
    checkpoints = Checkpoints(folder / "checkpoints", training.identity())
    training.resume(checkpoints)
    for report in training.run(checkpoints):
        if report.epoch == until:
            return training
    training.finish().write(
        folder / "model", bundle=folder / "bundle", history=folder / "history", kept=folder / "kept"
    )
    return training


def predictor(folder) -> Predictor:
    return Predictor.load(folder / "model", folder / "bundle")


def test_the_head_learns_and_its_predictor_says_the_same(sources, tmp_path):
    training = train(sources, plan(train={"epochs": 15}), tmp_path)
    assert training.reports[-1].metrics["accuracy"] == 1.0
    store = Store.open(sources.store)
    rows = store.rows("val")
    chances = predictor(tmp_path).predict(store.read(rows))
    told = np.array(["bright", "dark"])[chances.argmax(axis=1)]
    assert (told == store.index["label"][rows]).all()
    from_features = training.learner.model.eval()(
        torch.from_numpy(training.parts.features.pooled[rows])
    )
    outputs = predictor(tmp_path).outputs(store.read(rows))
    assert outputs == pytest.approx(from_features.detach().numpy(), abs=1e-4)


def test_the_bundle_says_what_prediction_needs(sources, tmp_path):
    train(sources, plan(train={"dropout": 0.3}), tmp_path)
    bundle = Bundle.load(tmp_path / "bundle")
    assert bundle.classes == ("bright", "dark")
    assert (bundle.task, bundle.target, bundle.dropout) == ("classification", "label", 0.3)
    assert (bundle.target_mean, bundle.target_std) == (0.0, 1.0)
    assert (bundle.batch_size, bundle.pooling, bundle.threads) == (16, "mean+max", 1)
    assert bundle.decode == Store.open(sources.store).spec
    assert bundle.fingerprint == cpu().fingerprint()


def test_the_best_epoch_is_what_is_written(sources, tmp_path):
    worse_later = plan(train={"epochs": 8, "monitor": "loss"}, optim={"lr": 1.0})
    training = train(sources, worse_later, tmp_path)
    losses = [report.val_loss for report in training.reports]
    assert training.best.epoch == int(np.argmin(losses)) + 1 < 8
    written, _ = load_tensors(tmp_path / "model")
    assert torch.equal(written["head.weight"], training.best.state["weight"])


@pytest.mark.parametrize("ema", [0.0, 0.95])
@pytest.mark.parametrize("strategy", ["head", "full"])
def test_what_is_written_is_what_was_validated(strategy, ema, sources, tmp_path):
    """Of averaged weights that is the average: a rate that stays shows the difference."""
    recipe = plan(
        train={"strategy": strategy, "ema": ema, "epochs": 3},
        optim={"lr": 0.05},
        schedule={"name": "constant"},
    )
    training = train(sources, recipe, tmp_path)
    outputs = predict(training.learner, training.val)
    loss = torch.nn.functional.cross_entropy(outputs, training.val.targets_N)
    assert float(loss) == pytest.approx(training.best.value, rel=1e-6)
    values = list(training.learner.model.state_dict().values())
    assert all(map(torch.equal, values, training.best.state.values()))
    assert training.best.value == min(each.val_loss for each in training.reports)


def test_the_history_has_a_row_for_each_epoch_and_no_times(sources, tmp_path):
    training = train(sources, plan(), tmp_path)
    table = pd.read_csv(tmp_path / "history")
    assert list(table) == [
        "epoch",
        "lr",
        "train_loss",
        "val_loss",
        "val_accuracy",
        "val_balanced_accuracy",
        "val_f1_macro",
    ]
    assert table["epoch"].tolist() == [1, 2, 3, 4, 5, 6]
    assert table["val_loss"].tolist() == [report.val_loss for report in training.reports]


@pytest.mark.parametrize("strategy", ["head", "full"])
def test_the_same_training_writes_the_same_bytes(strategy, sources, tmp_path):
    recipe = plan(train={"strategy": strategy, "epochs": 2})
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        torch.manual_seed(ord(name))
        train(sources, recipe, tmp_path / name)
    for name in ("model", "bundle", "history"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


def test_another_seed_is_another_training(sources, tmp_path):
    models = []
    for seed in (1, 2):
        (tmp_path / str(seed)).mkdir()
        train(sources, plan(seed=seed), tmp_path / str(seed))
        models.append((tmp_path / str(seed) / "model").read_bytes())
    assert models[0] != models[1]


RECIPES = {
    "head": {"mixup": 0.2, "ema": 0.5},
    "top": {
        "batch_norm": "batch",
        "mixup": 0.2,
        "ema": 0.5,
        "unfreeze_epochs": 1,
        "start": "probe",
        "test_views": 2,
    },
    "full": {"batch_norm": "batch", "cutmix": 1.0, "ema": 0.5},
}


@pytest.fixture(scope="module")
def cut_sources(tmp_path_factory):
    return make_sources(tmp_path_factory.mktemp("cut") / "s", items=40, cut="blocks.2", views=2)


def test_a_step_of_one_item_without_statistics_is_one_line(sources, tmp_path):
    recipe = plan(train={"strategy": "full", "batch_norm": "batch", "batch_size": 1, "epochs": 1})
    with pytest.raises(
        ParamsError, match=r"train\.batch_size: leaves a step, or a part .*batch_norm"
    ):
        train(sources, recipe, tmp_path)


@pytest.mark.parametrize("strategy", RECIPES)
def test_a_training_that_stopped_goes_on_as_if_it_had_not(strategy, cut_sources, tmp_path):
    sources = cut_sources
    recipe = plan(
        train={"strategy": strategy, "epochs": 4, **RECIPES[strategy]}, optim={"lr": 0.001}
    )
    for name in ("straight", "stopped"):
        (tmp_path / name).mkdir()
    train(sources, recipe, tmp_path / "straight")
    for until in (1, 3):
        train(sources, recipe, tmp_path / "stopped", until=until)
    train(sources, recipe, tmp_path / "stopped")
    for name in ("model", "bundle", "history"):
        assert (tmp_path / "straight" / name).read_bytes() == (
            tmp_path / "stopped" / name
        ).read_bytes()


def test_patience_ends_training_also_after_a_restart(sources, tmp_path):
    recipe = plan(train={"epochs": 50, "patience": 2, "monitor": "accuracy"})
    training = train(sources, recipe, tmp_path)
    assert len(training.reports) == training.best.epoch + 2 < 50
    again = open_training(recipe, open_parts(sources), cpu())
    checkpoints = Checkpoints(tmp_path / "checkpoints", again.identity())
    assert again.resume(checkpoints) == len(training.reports)
    assert list(again.run(checkpoints)) == []


@pytest.mark.parametrize(("mode", "moves"), [("stored", False), ("batch", True)])
def test_full_trains_every_layer_and_keeps_statistics_unless_asked(mode, moves, sources, tmp_path):
    recipe = plan(train={"strategy": "full", "epochs": 1, "batch_norm": mode})
    train(sources, recipe, tmp_path)
    before, _ = load_tensors(sources.backbone)
    after, _ = load_tensors(tmp_path / "model")
    prefix = "backbone.model."
    weights = [name for name in before if name.endswith(".weight")]
    assert not any(torch.equal(before[name], after[prefix + name]) for name in weights)
    means = [name for name in before if name.endswith("running_mean")]
    assert any(not torch.equal(before[name], after[prefix + name]) for name in means) is moves


def test_the_head_strategy_leaves_the_backbone_alone(sources, tmp_path):
    train(sources, plan(train={"epochs": 1}), tmp_path)
    before, _ = load_tensors(sources.backbone)
    after, _ = load_tensors(tmp_path / "model")
    assert all(torch.equal(each, after[f"backbone.model.{name}"]) for name, each in before.items())


def test_augmentation_changes_training(sources, tmp_path):
    off = {
        "hflip": 0.0,
        "vflip": 0.0,
        "transpose": 0.0,
        "crop_min_frac": 1.0,
        "brightness": 0.0,
        "contrast": 0.0,
    }
    losses = []
    for name, augment in (("on", {}), ("off", off)):
        (tmp_path / name).mkdir()
        recipe = plan(train={"strategy": "full", "epochs": 1}, augment=augment)
        losses.append(train(sources, recipe, tmp_path / name).reports[0].train_loss)
    assert losses[0] != losses[1]


def test_a_picture_varies_with_the_epoch_and_its_id_and_not_with_its_batch(sources):
    training = open_training(plan(train={"strategy": "full"}), open_parts(sources), cpu())
    read, every = training.train.read, np.arange(8)
    first = read(every, 1)
    assert torch.equal(first, read(every, 1))
    assert torch.equal(first[[5, 2]], read(np.array([5, 2]), 1))
    assert all(
        not torch.equal(one, other) for one, other in zip(first, read(every, 2), strict=True)
    )
    store = Store.open(sources.store)
    plain = torch.from_numpy(store.read(store.rows("train")[every]))
    assert torch.equal(read(every, 0), plain)


def test_full_needs_no_pooled_features(unpooled, tmp_path):
    train(unpooled, plan(train={"strategy": "full", "epochs": 1}), tmp_path)
    assert Bundle.load(tmp_path / "bundle").pooling == "mean+max"


def test_regression_learns_standardized_values_and_predicts_in_their_unit(values, tmp_path):
    recipe = plan(task="regression", train={"epochs": 40, "monitor": "mae"}, optim={"lr": 0.02})
    training = train(values, recipe, tmp_path)
    store = Store.open(values.store)
    truth = store.index["label"].astype(float)
    bundle = Bundle.load(tmp_path / "bundle")
    train_values = truth[store.rows("train")]
    assert bundle.target_mean == pytest.approx(train_values.mean())
    assert bundle.target_std == pytest.approx(train_values.std(ddof=0))
    assert (bundle.classes, bundle.temperature) == ((), 1.0)
    rows = store.rows("val")
    found = predictor(tmp_path).predict(store.read(rows))[:, 0]
    mae = np.abs(found - truth[rows]).mean()
    assert mae == pytest.approx(training.reports[training.best.epoch - 1].metrics["mae"], rel=1e-3)
    assert mae < 0.5 * np.abs(truth[rows] - train_values.mean()).mean()


def test_sample_weights_count_only_if_asked(tmp_path):
    def last_bright_is_worthless(rows):
        return rows.assign(weight=np.where(rows["label"] == "bright", 0.01, 1.0))

    weighted = make_sources(tmp_path / "s", items=40, change=last_bright_is_worthless)
    shares = []
    for use in (True, False):
        training = open_training(plan(loss={"sample_weights": use}), open_parts(weighted), cpu())
        shares.append(training.train.weights_N.tolist())
    assert set(np.round(shares[0], 2)) == {0.01, 1.0}
    assert set(shares[1]) == {1.0}


def test_classes_of_all_splits_have_an_output(tmp_path):
    def rare(rows):
        test = rows["split"] == "test"
        return rows.assign(label=rows["label"].where(~test, "zebra"))

    training = open_training(
        plan(), open_parts(make_sources(tmp_path / "s", items=40, change=rare)), cpu()
    )
    assert training.targets.classes == ("bright", "dark", "zebra")
    assert training.head.out_features == 3


def test_what_the_journal_is_told_is_json(sources):
    info = open_training(plan(), open_parts(sources), cpu()).info()
    assert json.loads(json.dumps(info)) == info
    assert info["items"] == {"train": 36, "val": 12}


REFUSALS = {
    "features": (
        {},
        "unpooled",
        ParamsError,
        "params.yaml: features.pooled: train.strategy: head needs pooled features, got False "
        "(set features.pooled: true, or train.strategy: full)",
    ),
    "loss": (
        {"loss": {"name": "mse"}},
        "sources",
        ParamsError,
        "params.yaml: loss.name: must be 'cross_entropy' for `task: classification`, got 'mse'",
    ),
    "monitor": (
        {"train": {"monitor": "mae"}},
        "sources",
        ParamsError,
        "params.yaml: train.monitor: must be one of loss, accuracy, balanced_accuracy, f1_macro "
        "for `task: classification`, got 'mae'",
    ),
    "batch": (
        {"train": {"batch_size": 37}},
        "sources",
        ParamsError,
        "params.yaml: train.batch_size: must be at most 36, the items of the train split, got 37 "
        "(lower it, or set it to `full`)",
    ),
    "parts": (
        {"train": {"batch_size": 32, "parts": 19}},
        "sources",
        ParamsError,
        "params.yaml: train.parts: must be at most 18, the items of the smallest step, got 19 "
        "(lower it, or raise train.batch_size)",
    ),
    "text": (
        {"task": "regression"},
        "sources",
        DataError,
        "store: label: must be numbers for `task: regression` (could not convert string to float: "
        "'dark') (set data.target to a column of numbers, or task: classification)",
    ),
}


@pytest.mark.parametrize("case", REFUSALS)
def test_what_cannot_be_trained_is_refused(case, request):
    changes, name, kind, text = REFUSALS[case]
    with pytest.raises(kind) as caught:
        open_training(plan(**changes), open_parts(request.getfixturevalue(name)), cpu())
    assert str(caught.value).endswith(text)


@pytest.mark.parametrize(
    ("change", "task", "text"),
    [
        (
            lambda rows: rows[rows["split"] != "val"],
            "classification",
            "the val split is empty (raise split.val)",
        ),
        (
            lambda rows: rows[rows["label"] == "dark"],
            "classification",
            "label: must hold two classes or more, got ('dark',)",
        ),
        (
            lambda rows: rows.assign(label="0.5"),
            "regression",
            "label: must differ within the train split, got 0.5",
        ),
        (
            lambda rows: rows.assign(weight=0.0),
            "classification",
            "the weights of the train split must not all be 0 (set loss.sample_weights: false)",
        ),
    ],
    ids=["empty-val", "one-class", "constant", "weightless"],
)
def test_data_that_cannot_be_trained_on_are_refused(change, task, text, tmp_path):
    broken = make_sources(tmp_path / "s", items=20, pooled=False, change=change)
    with pytest.raises(DataError) as caught:
        open_training(plan(task=task, train={"strategy": "full"}), open_parts(broken), cpu())
    assert str(caught.value).endswith(text)


def test_a_plan_is_frozen():
    with pytest.raises(dataclasses.FrozenInstanceError):
        plan().task = "regression"


PLAIN = {
    "hflip": 0.0,
    "vflip": 0.0,
    "transpose": 0.0,
    "crop_min_frac": 1.0,
    "brightness": 0.0,
    "contrast": 0.0,
}


def losses(training, folder):
    reports = list(training.run(Checkpoints(folder, training.identity())))
    return np.array([[each.train_loss, each.val_loss] for each in reports])


def freeze_below(training, cut):
    """Freeze of a training of the whole what `top` freezes."""
    backbone = training.parts.backbone
    moved = {id(each) for group in backbone.groups(cut) for each in group}
    for parameter in backbone.parameters():
        parameter.requires_grad_(id(parameter) in moved)


@pytest.mark.parametrize("batch_norm", ["stored", "batch"])
def test_top_is_full_with_the_same_lower_part_frozen(batch_norm, tmp_path):
    sources = make_sources(tmp_path / "s", cut="blocks.3", views=1)
    recipe = {"batch_norm": batch_norm, "epochs": 4, "batch_size": 8, "dropout": 0.1}
    found = {}
    for name, frozen in (("top", None), ("full", "blocks.3"), ("lower", "blocks.2")):
        strategy = "top" if name == "top" else "full"
        chosen = plan(train={**recipe, "strategy": strategy}, augment=PLAIN, optim={"lr": 1e-5})
        training = open_training(chosen, open_parts(sources), cpu())
        if frozen:
            freeze_below(training, frozen)
        found[name] = losses(training, tmp_path / name)
    difference = np.abs(found["top"] - found["full"]).max()
    assert difference < 1e-4
    # with one more stage moving it is another training: the tolerance is no blank check
    assert np.abs(found["top"] - found["lower"]).max() > 5 * difference


def test_top_moves_what_is_above_the_cut_and_nothing_below(tmp_path):
    sources = make_sources(tmp_path / "s", cut="blocks.3", views=2)
    chosen = plan(train={"strategy": "top", "batch_norm": "batch", "ema": 0.5})
    training = open_training(chosen, open_parts(sources), cpu())
    before = {name: each.clone() for name, each in training.parts.backbone.state_dict().items()}
    losses(training, tmp_path / "c")
    after = training.parts.backbone.state_dict()
    moved = {name for name, each in before.items() if not torch.equal(each, after[name])}
    assert moved
    assert all(name.split(".")[1:3] >= ["blocks", "3"] for name in moved), moved


def test_gradual_unfreezing_goes_from_the_head_down_to_the_cut(tmp_path):
    sources = make_sources(tmp_path / "s", cut="blocks.3", views=1)
    chosen = plan(train={"strategy": "top", "unfreeze_epochs": 1, "epochs": 4})
    training = open_training(chosen, open_parts(sources), cpu())
    groups = training.learner.groups
    assert len(groups) == 4  # blocks.3, blocks.4, conv_head, head
    checkpoints = Checkpoints(tmp_path / "c", training.identity())
    for learning, _ in enumerate(training.run(checkpoints), start=1):
        is_learning = [any(each.requires_grad for each in group) for group in groups]
        assert is_learning == [False] * (4 - learning) + [True] * learning


def test_the_probe_is_where_fine_tuning_starts(tmp_path, caplog):
    sources = make_sources(tmp_path / "s", cut="blocks.3", views=1)
    start = plan(train={"strategy": "top", "start": "probe"})
    with caplog.at_level(logging.INFO):
        training = open_training(start, open_parts(sources), cpu())
    assert "probe: strength " in caplog.text
    assert training.best.epoch == 0
    assert training.start.facts["items"] == len(training.train)
    factor, held_out = training.start.facts["factor"], training.start.facts["held_out_loss"]
    probe = training.start.state["network.head.weight"]
    assert torch.allclose(training.head.weight, factor * probe, rtol=1e-6)
    pooled = open_parts(sources).features.pooled.read(training.rows.train)
    outputs = training.head.eval()(torch.from_numpy(pooled)).detach()
    targets = training.train.targets_N
    assert float((outputs.argmax(1) == targets).float().mean()) > 0.9
    loss = float(torch.nn.functional.cross_entropy(outputs / factor**0.5, targets))
    assert loss == pytest.approx(held_out, rel=1e-3)


@pytest.mark.parametrize("lr", [0.001, 0.3], ids=["useful", "destructive"])
def test_what_ships_is_never_worse_on_validation_than_the_probe(lr, tmp_path):
    sources = make_sources(tmp_path / "s", cut="none", views=1)
    chosen = plan(train={"strategy": "auto", "start": "probe", "epochs": "auto"}, optim={"lr": lr})
    training = open_training(chosen, open_parts(sources), cpu())
    list(training.run(None))
    trained = training.finish()
    losses = {(each.epoch, each.share): each.loss for each in trained.candidates}
    probes = [loss for (_, share), loss in losses.items() if share == 0]
    assert probes == pytest.approx([probes[0]] * len(probes), abs=1e-6)
    assert losses[trained.epoch, trained.share] == min(losses.values()) <= probes[0]
    outputs = predict(training.learner, training.val) / trained.temperature
    loss, _ = validate(training.learner, training.val, outputs)
    assert loss == pytest.approx(losses[trained.epoch, trained.share], abs=1e-5)
    kept = trained.kept()
    assert kept["kept"] == {"epoch": trained.epoch, "share": trained.share}
    assert [each["val_loss"] for each in kept["candidates"]] == list(losses.values())


def test_auto_leaves_the_lowest_stages_up_to_a_hundredth_of_the_weights(tmp_path):
    sources = make_sources(tmp_path / "s", cut="none", views=1)
    changes = {"start": "probe", "epochs": 2}
    for strategy in ("auto", "full"):
        training = open_training(
            plan(train={"strategy": strategy, **changes}), open_parts(sources), cpu()
        )
        groups = training.parts.backbone.groups(None)
        before = [[each.clone() for each in group] for group in groups]
        list(training.run(None))
        stays = [all(map(torch.equal, *pair)) for pair in zip(before, groups, strict=True)]
        sizes = np.array([sum(each.numel() for each in group) for group in groups])
        is_low = np.cumsum(sizes) <= 0.01 * sizes.sum()
        assert 0 < is_low.sum() < len(groups)
        assert stays == (list(is_low) if strategy == "auto" else [False] * len(groups))


def test_the_probe_needs_pooled_features(tmp_path):
    sources = make_sources(tmp_path / "s", cut="blocks.3", views=1, pooled=False)
    with pytest.raises(ParamsError) as caught:
        open_training(plan(train={"strategy": "top", "start": "probe"}), open_parts(sources), cpu())
    assert "features.pooled: train.start: probe needs pooled features" in str(caught.value)


def test_predictions_over_several_views_are_those_that_are_served(cut_sources, tmp_path):
    chosen = plan(train={"strategy": "top", "test_views": 4}, optim={"lr": 0.001})
    training = open_training(chosen, open_parts(cut_sources), cpu())
    losses(training, tmp_path / "c")
    trained = training.finish()
    trained.write(
        tmp_path / "m", bundle=tmp_path / "b", history=tmp_path / "h", kept=tmp_path / "k"
    )
    rows = training.parts.store.rows("test")
    served = Predictor.load(tmp_path / "m", tmp_path / "b")
    assert served.bundle.views == (0, 1, 2, 3)
    assert np.array_equal(trained.outputs(rows), served.outputs(training.parts.store.read(rows)))


def test_more_views_than_augment_allows_are_refused(cut_sources):
    chosen = plan(train={"test_views": 3}, augment={"vflip": 0.0, "transpose": 0.0})
    with pytest.raises(ParamsError, match=r"train\.test_views: must be at most 2, .*got 3"):
        open_training(chosen, open_parts(cut_sources), cpu())


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"train": {"start": "probe"}}, "train.start: must be zero for `train.strategy: head`"),
        ({"train": {"batch_norm": "batch"}}, "train.batch_norm: must be stored for"),
        ({"train": {"unfreeze_epochs": 2}}, "train.unfreeze_epochs: must be 0 for"),
        ({"optim": {"layer_decay": 0.5}}, "optim.layer_decay: must be 1.0 for"),
        ({"train": {"cutmix": 1.0}}, "train.cutmix: must be 0.0 for `train.strategy: head`"),
        ({"train": {"cutmix": 1.0, "strategy": "top"}}, "a piece of an activation has seen"),
    ],
)
def test_what_has_no_meaning_for_a_strategy_is_refused_with_the_reason(changes, text, sources):
    with pytest.raises(ParamsError) as caught:
        open_training(plan(**changes), open_parts(sources), cpu())
    assert text in str(caught.value)
