"""A checkpoint holds all that resuming needs, and a damaged one gives way to the one before."""

import logging

import pytest
import torch
from torch import nn

from pipeline.train.best_epoch import Best
from pipeline.train.checkpoint import Checkpoints
from pipeline.train.loop import Examples, fit
from pipeline.train.params import TrainParams
from pipeline.train.plan import Recipe
from pipeline.train.recipe.losses import Loss
from pipeline.train.recipe.optim import build_optimizer
from pipeline.train.recipe.params import OptimParams, ScheduleParams
from pipeline.train.step import Learner
from tests.support.trainable import OFF

IDENTITY = {"threads": 1, "torch": "x"}


def recipe(name="adamw", momentum=0.9, epochs=6) -> Recipe:
    return Recipe(
        train=TrainParams(
            **OFF,
            strategy="full",
            epochs=epochs,
            batch_size=8,
            dropout=0.0,
            batch_norm="batch",
            monitor="loss",
            patience=0,
            privacy=None,
        ),
        optim=OptimParams(
            name=name,
            lr=0.02,
            momentum=momentum,
            nesterov=False,
            beta1=0.9,
            beta2=0.99,
            weight_decay=0.1,
            clip_norm=1.0,
            layer_decay=1.0,
        ),
        schedule=ScheduleParams(name="one_cycle", warmup_frac=0.3, final_frac=0.1),
        seed=5,
    )


def model() -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        net = nn.Sequential(
            nn.Conv2d(3, 8, 3),
            nn.BatchNorm2d(8),
            nn.ReLU(),
            nn.Dropout(0.3),
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
            nn.Linear(8, 2),
        )
    return net.to(memory_format=torch.channels_last)


def examples(items=30) -> Examples:
    generator = torch.Generator().manual_seed(1)
    images = torch.randn(items, 3, 6, 6, generator=generator)
    labels = (images.mean(dim=(1, 2, 3)) > 0).long()
    return Examples(labels, torch.ones(items), lambda rows, epoch: images[torch.from_numpy(rows)])


def start(plan) -> tuple[Learner, Best]:
    net = model()
    loss = Loss("cross_entropy", 0.0, None)
    return Learner(
        net, build_optimizer([list(net.parameters())], plan.optim), loss, lambda o, t: {}
    ), Best("loss")


def train(plan, checkpoints, *, until, save=True) -> tuple[Learner, Best, list]:
    """Train as a stage does: from the last checkpoint on, one checkpoint an epoch."""
    learner, best = start(plan)
    reports = checkpoints.resume(learner, best)
    for report in fit(learner, examples(), examples(12), recipe=plan, done=len(reports)):
        best.offer(report, learner.model)
        reports.append(report)
        if save:
            checkpoints.save(learner, best, reports)
        if report.epoch == until:
            break
    return learner, best, reports


def state(learner, best) -> dict[str, torch.Tensor]:
    tensors = {f"m/{k}": v for k, v in learner.model.state_dict().items()}
    tensors |= {f"b/{k}": v for k, v in best.state.items()}
    for number, slots in learner.optimizer.state_dict()["state"].items():
        tensors |= {f"o/{number}/{k}": v for k, v in slots.items() if v is not None}
    return tensors


def assert_same(one, other):
    first, second = state(*one[:2]), state(*other[:2])
    assert sorted(first) == sorted(second)
    for name in first:
        assert torch.equal(first[name], second[name]), name
    assert one[2] == other[2]
    assert (one[1].epoch, one[1].value) == (other[1].epoch, other[1].value)


@pytest.fixture(autouse=True)
def _one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.mark.parametrize(
    ("name", "momentum"), [("sgd", 0.0), ("sgd", 0.9), ("adam", 0.0), ("adamw", 0.0)]
)
def test_going_on_is_the_same_as_never_stopping(name, momentum, tmp_path):
    plan = recipe(name, momentum)
    straight = train(plan, Checkpoints(tmp_path / "a", IDENTITY), until=6, save=False)
    stopped = Checkpoints(tmp_path / "b", IDENTITY)
    for until in (2, 3, 6):
        resumed = train(plan, stopped, until=until)
    assert_same(straight, resumed)


def test_a_best_epoch_before_the_stop_is_not_lost(tmp_path):
    checkpoints = Checkpoints(tmp_path, IDENTITY)
    learner, best, reports = train(recipe(), checkpoints, until=2)
    epoch, value = best.epoch, best.value
    state = {name: each.clone() for name, each in best.state.items()}
    nn.init.zeros_(learner.model[0].weight)
    checkpoints.save(learner, best, reports)
    resumed, resumed_best = start(recipe())
    checkpoints.resume(resumed, resumed_best)
    assert (resumed_best.epoch, resumed_best.value) == (epoch, value)
    assert sorted(resumed_best.state) == sorted(state)
    assert all(torch.equal(each, resumed_best.state[name]) for name, each in state.items())
    assert not resumed.model[0].weight.any()


def test_the_optimizer_s_tensors_keep_the_layout_of_their_parameters(tmp_path):
    checkpoints = Checkpoints(tmp_path, IDENTITY)
    train(recipe(), checkpoints, until=1)
    learner, best = start(recipe())
    checkpoints.resume(learner, best)
    weight = learner.model[0].weight
    assert weight.is_contiguous(memory_format=torch.channels_last)
    slots = learner.optimizer.state[weight]
    assert slots["exp_avg"].stride() == weight.stride()
    assert slots["step"].shape == ()


def test_the_last_two_are_kept(tmp_path):
    train(recipe(), Checkpoints(tmp_path, IDENTITY), until=5)
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "epoch-000004.json",
        "epoch-000004.safetensors",
        "epoch-000005.json",
        "epoch-000005.safetensors",
    ]


def test_no_folder_is_a_fresh_start(tmp_path):
    learner, best = start(recipe())
    before = {name: each.clone() for name, each in learner.model.state_dict().items()}
    assert Checkpoints(tmp_path / "none", IDENTITY).resume(learner, best) == []
    assert all(torch.equal(before[k], v) for k, v in learner.model.state_dict().items())
    assert best.epoch == 0


def _earlier(path):
    path.write_text(path.read_text().replace('"epoch": 4', '"epoch": 3'))


def _cut(path):
    path.write_bytes(path.read_bytes()[:-10])


def _flip(path):
    data = bytearray(path.read_bytes())
    data[-20] ^= 1
    path.write_bytes(data)


DAMAGE = {
    "tensors-cut": ("safetensors", _cut),
    "tensors-flipped": ("safetensors", _flip),
    "tensors-gone": ("safetensors", lambda path: path.unlink()),
    "tensors-empty": ("safetensors", lambda path: path.write_bytes(b"")),
    "state-cut": ("json", _cut),
    "state-flipped": ("json", _earlier),
    "state-of-a-later-version": (
        "json",
        lambda p: p.write_text(p.read_text().replace('"version": 1', '"version": 2')),
    ),
    "state-no-object": ("json", lambda path: path.write_text("[]")),
}


@pytest.mark.parametrize("case", DAMAGE)
def test_a_damaged_checkpoint_gives_way_to_the_one_before_and_is_told(case, tmp_path, caplog):
    plan = recipe()
    straight = train(plan, Checkpoints(tmp_path / "a", IDENTITY), until=6, save=False)
    checkpoints = Checkpoints(tmp_path / "b", IDENTITY)
    train(plan, checkpoints, until=4)
    kind, damage = DAMAGE[case]
    damage(tmp_path / "b" / f"epoch-000004.{kind}")
    with caplog.at_level(logging.WARNING):
        learner, best = start(plan)
        assert [report.epoch for report in checkpoints.resume(learner, best)] == [1, 2, 3]
    assert len(caplog.records) == 1
    assert "a checkpoint is damaged, so the one before is taken" in caplog.text
    assert f"epoch-000004.{kind}" in caplog.text
    assert_same(straight, train(plan, checkpoints, until=6))


def test_with_both_damaged_training_starts_anew(tmp_path, caplog):
    checkpoints = Checkpoints(tmp_path, IDENTITY)
    train(recipe(), checkpoints, until=3)
    for path in tmp_path.glob("*.safetensors"):
        _flip(path)
    learner, best = start(recipe())
    assert checkpoints.resume(learner, best) == []
    assert len(caplog.records) == 2


def test_a_kill_between_the_two_files_leaves_the_one_before(tmp_path):
    checkpoints = Checkpoints(tmp_path, IDENTITY)
    train(recipe(), checkpoints, until=2)
    (tmp_path / "epoch-000003.safetensors").write_bytes(b"half")
    (tmp_path / ".tmp-epoch-000003.json-99999999").write_text("half")
    assert [report.epoch for report in train(recipe(), checkpoints, until=3)[2]] == [1, 2, 3]


def test_another_fingerprint_does_not_go_on(tmp_path, caplog):
    train(recipe(), Checkpoints(tmp_path, IDENTITY), until=2)
    learner, best = start(recipe())
    assert Checkpoints(tmp_path, IDENTITY | {"threads": 2}).resume(learner, best) == []
    assert "training starts from the beginning" in caplog.text
    assert not tmp_path.exists()


def test_clear_removes_all_and_may_be_called_twice(tmp_path):
    checkpoints = Checkpoints(tmp_path / "key", IDENTITY)
    train(recipe(), checkpoints, until=1)
    checkpoints.clear()
    checkpoints.clear()
    assert list(tmp_path.iterdir()) == []
