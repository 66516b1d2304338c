"""The training loop: a generator of epoch reports. No logging, no files, no clock.

Whoever asks for the next report trains one more epoch; to stop early is to stop asking. Epochs are
counted from 1. All that is random in an epoch follows from the seed and the epoch's number alone,
so a training that goes on from a checkpoint is the one that was never stopped.

Axes: N items of a split, B items of a batch, K outputs.
"""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.optim import Optimizer

from pipeline.ground.errors import DataError, ParamsError
from pipeline.ground.seeds import derive, numpy_generator
from pipeline.train.params import TrainParams
from pipeline.train.recipe import losses
from pipeline.train.recipe.ema import Average
from pipeline.train.recipe.losses import Loss
from pipeline.train.recipe.mixing import Mix, mix_batch
from pipeline.train.recipe.optim import clip_gradients, set_lr
from pipeline.train.recipe.params import OptimParams, ScheduleParams
from pipeline.train.recipe.schedule import lr_factor

_LOOK_EVERY = 64
_PREDICT_BATCH = 64


@dataclass(frozen=True)
class Examples:
    """One split as the loop sees it."""

    targets_N: Tensor
    """On the device: int64 class numbers, or float32 standardized values."""

    weights_N: Tensor
    """On the device: float32, at least 0."""

    read: Callable[[np.ndarray, int], Tensor]
    """Give the inputs at some positions (int64 in [0, N)) on the device; the second argument is the
    epoch, for augmentation; 0 stands for "not in training"."""

    def __len__(self) -> int:
        return len(self.targets_N)


@dataclass(frozen=True)
class Learner:
    """What learns, and how; everything in it but `loss` and `score` changes while it does."""

    model: nn.Module
    optimizer: Optimizer
    loss: Loss
    score: Callable[[Tensor, Tensor], Mapping[str, float]]
    """Outputs [N, K] and targets of validation, on the CPU, to metrics."""

    autocast: Callable[[], AbstractContextManager[Any]] = nullcontext
    """The precision that the model computes in."""

    groups: Sequence[Sequence[nn.Parameter]] = ()
    """What is trained, by stage, lowest first; only unfreezing asks."""

    average: Average | None = None
    """The average of the model's weights, where it is what is kept."""

    @property
    def kept(self) -> nn.Module:
        """What is validated, and kept of the best epoch."""
        return self.model if self.average is None else self.average.model


@dataclass(frozen=True)
class Recipe:
    """The params that the loop reads."""

    train: TrainParams
    optim: OptimParams
    schedule: ScheduleParams
    seed: int


@dataclass(frozen=True)
class EpochReport:
    """What one epoch did."""

    epoch: int
    """From 1."""

    lr: float
    """Learning rate of its last step."""

    train_loss: float
    """Mean over the epoch's steps, while the weights moved, with augmentation and dropout."""

    val_loss: float
    """The same loss on validation, after the epoch, without label smoothing."""

    metrics: Mapping[str, float]
    """On validation, after the epoch."""

    images: int
    """Items trained on in this epoch."""

    def values(self) -> dict[str, float]:
        """Return its numbers under flat names; those of validation begin with `val_`."""
        scores = {f"val_{name}": value for name, value in self.metrics.items()}
        return {"lr": self.lr, "train_loss": self.train_loss, "val_loss": self.val_loss, **scores}


def fit(
    learner: Learner, train: Examples, val: Examples, *, recipe: Recipe, done: int = 0
) -> Iterator[EpochReport]:
    """Train, and report each epoch when it is over.

    Between two reports torch's global random state is as the caller left it.

    Args:
        learner: Changed in place.
        train: At least one item; also `batch_size` of them, unless that is `full`.
        val: At least one item.
        recipe: The params.
        done: Epochs that `learner` has behind it already.

    Raises:
        DataError: A loss is not finite.
    """
    batches = count_batches(len(train), recipe.train.batch_size)
    for epoch in range(done + 1, recipe.train.epochs + 1):
        with _random_stream(recipe.seed, epoch, train.targets_N.device):
            train_loss, lr = _train_epoch(learner, train, recipe, epoch=epoch, batches=batches)
        outputs_NK, val_loss = _validate(learner, val)
        if not math.isfinite(val_loss):
            raise _diverged(f"the loss on validation is {val_loss} after epoch {epoch}")
        metrics = learner.score(outputs_NK, val.targets_N.cpu())
        yield EpochReport(epoch, lr, train_loss, val_loss, metrics, len(train))


def count_batches(items: int, batch_size: int | Literal["full"]) -> int:
    """Return the number of steps in an epoch."""
    return 1 if batch_size == "full" else math.ceil(items / batch_size)


def predict(learner: Learner, examples: Examples) -> Tensor:
    """Return the outputs for every item, in order, on the CPU: float32 [N, K]."""
    learner.kept.eval()
    positions = np.arange(len(examples))
    parts = np.array_split(positions, count_batches(len(examples), _PREDICT_BATCH))
    with torch.inference_mode(), learner.autocast():
        return torch.cat([learner.kept(examples.read(part, 0)).float().cpu() for part in parts])


def _train_epoch(
    learner: Learner, train: Examples, recipe: Recipe, *, epoch: int, batches: int
) -> tuple[float, float]:
    """Train one epoch; give its mean loss and its last learning rate."""
    _unfreeze(learner.groups, recipe.train.unfreeze_epochs, epoch)
    _set_training(learner.model, recipe.train.batch_norm)
    order = numpy_generator(recipe.seed, "order", epoch).permutation(len(train))
    sums = torch.zeros(batches, 2, device=train.targets_N.device)
    total_steps = recipe.train.epochs * batches
    lr = math.nan
    # Parts of nearly equal size: a last batch of one or two items would weigh as much as a full one
    # and has no batch statistics.
    for step, part in enumerate(np.array_split(order, batches)):
        done = (epoch - 1) * batches + step
        lr = recipe.optim.lr * lr_factor(done, total_steps, recipe.schedule)
        set_lr(learner.optimizer, lr)
        sums[step] = _train_step(learner, train, recipe, part, epoch=epoch, step=step)
        if learner.average is not None:
            learner.average.update(learner.model, done)
        if step % _LOOK_EVERY == _LOOK_EVERY - 1 and sums.device.type == "cpu":
            _refuse_non_finite(sums, epoch, batches)  # elsewhere a look would wait for the device
    _refuse_non_finite(sums, epoch, batches)
    total, weight = sums.double().sum(dim=0).cpu()
    return float(losses.mean(total, weight)), lr


def _outputs(model: nn.Module, inputs: Tensor) -> Tensor:
    """Return the outputs of a step.

    Raises:
        ParamsError: The step has one item, and a normalization needs more for its statistics. Which
            does depends on the sizes of maps; so it is tried.
    """
    try:
        outputs: Tensor = model(inputs)
    except ValueError as error:
        if len(inputs) > 1 or "more than 1 value per channel" not in str(error):
            raise
        raise ParamsError(
            "params.yaml",
            "leaves a step with one item, of which a batch has no statistics",
            field="train.batch_size",
            remedy="raise it, or set train.batch_norm to stored",
        ) from error
    return outputs


def _train_step(
    learner: Learner, train: Examples, recipe: Recipe, part: np.ndarray, *, epoch: int, step: int
) -> Tensor:
    """Take one step; give the sum of the losses and of the weights, without waiting for them."""
    where = torch.from_numpy(part).to(train.targets_N.device)
    targets_B, weights_B = train.targets_N[where], train.weights_N[where]
    inputs, mix = mix_batch(
        train.read(part, epoch),
        mixup=recipe.train.mixup,
        cutmix=recipe.train.cutmix,
        generator=numpy_generator(recipe.seed, "mix", epoch, step),
    )
    with learner.autocast():
        outputs_BK = _outputs(learner.model, inputs)
    total, weight = _sums(learner.loss, outputs_BK, targets_B, weights_B, mix)
    learner.optimizer.zero_grad(set_to_none=True)
    losses.mean(total, weight).backward()
    clip_gradients(learner.model.parameters(), recipe.optim.clip_norm)
    learner.optimizer.step()
    return torch.stack([total.detach(), weight])


def _sums(
    loss: Loss, outputs_BK: Tensor, targets_B: Tensor, weights_B: Tensor, mix: Mix | None
) -> tuple[Tensor, Tensor]:
    """Return the sum of the losses and of the weights; a mixed item has two targets."""
    if mix is None:
        return loss.sums(outputs_BK, targets_B, weights_B)
    others = mix.partners_B
    own = loss.sums(outputs_BK, targets_B, weights_B * mix.shares_B)
    other = loss.sums(outputs_BK, targets_B[others], weights_B[others] * (1 - mix.shares_B))
    return own[0] + other[0], own[1] + other[1]


def _validate(learner: Learner, val: Examples) -> tuple[Tensor, float]:
    outputs_NK = predict(learner, val)
    device = val.targets_N.device
    # unsmoothed: the number that picks an epoch must not depend on how hard training was made
    loss = replace(learner.loss, label_smoothing=0.0)
    total, weight = loss.sums(outputs_NK.to(device), val.targets_N, val.weights_N)
    return outputs_NK, float(losses.mean(total, weight))


def _unfreeze(groups: Sequence[Sequence[nn.Parameter]], unfreeze_epochs: int, epoch: int) -> None:
    """Let the head learn first, and every so many epochs the next stage below it too.

    Source: Howard and Ruder (2018).
    """
    if unfreeze_epochs == 0:
        return
    learning = 1 + (epoch - 1) // unfreeze_epochs
    for depth, group in enumerate(reversed(groups)):
        for parameter in group:
            parameter.requires_grad_(depth < learning)


def _set_training(model: nn.Module, batch_norm: Literal["batch", "stored"]) -> None:
    """Set train mode; batch normalization that is frozen keeps its statistics in any case."""
    model.train()
    for module in model.modules():
        if isinstance(module, _BatchNorm):
            is_frozen = not any(each.requires_grad for each in module.parameters())
            if batch_norm == "stored" or is_frozen:
                module.eval()


def _refuse_non_finite(sums: Tensor, epoch: int, batches: int) -> None:
    finite = sums[:, 0].isfinite()
    if not bool(finite.all()):
        step = int(finite.logical_not().nonzero()[0])
        raise _diverged(
            f"the loss is {float(sums[step, 0])} in epoch {epoch}, step {step + 1} of {batches}"
        )


def _diverged(what: str) -> DataError:
    return DataError(
        "train", what, remedy="lower optim.lr, or set optim.clip_norm; no model was written"
    )


@contextmanager
def _random_stream(seed: int, epoch: int, device: torch.device) -> Iterator[None]:
    """Lend torch's global generators, which dropout draws from, to one epoch."""
    devices = [device] if device.type == "cuda" else []
    with torch.random.fork_rng(devices):
        torch.manual_seed(derive(seed, "epoch", epoch))
        yield
