"""The training loop: a generator of epoch reports. No logging, no files, no clock.

Whoever asks for the next report trains one more epoch; to stop early is to stop asking. Epochs are
counted from 1. All that is random in an epoch follows from the seed and the epoch's number alone,
so a training that goes on from a checkpoint is the one that was never stopped.

Axes: N items of a split, B items of a batch, K outputs.
"""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import Literal

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from pipeline.ground.errors import DataError
from pipeline.ground.seeds import derive, numpy_generator
from pipeline.train.parts import step_in_parts
from pipeline.train.plan import Recipe
from pipeline.train.recipe import losses
from pipeline.train.recipe.mixing import mix_batch
from pipeline.train.recipe.optim import set_lr
from pipeline.train.recipe.schedule import lr_factor
from pipeline.train.step import PLAIN, Batch, Learner, Method, count_batches, make_alike

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

    sizes_N: np.ndarray | None = None
    """int64, how large each input is, where they differ: those of a batch should be alike."""

    def __len__(self) -> int:
        return len(self.targets_N)


@dataclass(frozen=True)
class EpochReport:
    """What one epoch did."""

    epoch: int
    """From 1."""

    lr: float
    """Learning rate of its last step."""

    train_loss: float | None
    """Mean over the epoch's steps, while the weights moved, with augmentation and dropout; None
    where it must not be known."""

    val_loss: float
    """The same loss on validation, after the epoch, without label smoothing."""

    metrics: Mapping[str, float]
    """On validation, after the epoch."""

    items: int
    """Trained on in this epoch."""

    def values(self) -> dict[str, float]:
        """Return its numbers under flat names; those of validation begin with `val_`."""
        scores = {f"val_{name}": value for name, value in self.metrics.items()}
        loss = {} if self.train_loss is None else {"train_loss": self.train_loss}
        return {"lr": self.lr, **loss, "val_loss": self.val_loss, **scores}


def fit(
    learner: Learner,
    train: Examples,
    val: Examples,
    *,
    recipe: Recipe,
    done: int = 0,
    method: Method = PLAIN,
) -> Iterator[EpochReport]:
    """Train, and report each epoch when it is over.

    Between two reports torch's global random state is as the caller left it.

    Args:
        learner: Changed in place.
        train: At least one item; also `batch_size` of them, unless that is `full`.
        val: At least one item.
        recipe: The params.
        done: Epochs that `learner` has behind it already.
        method: How an epoch becomes batches, and a batch a change of weights; in parts, each batch
            is a change of weights along the mean gradient.

    Raises:
        DataError: A loss is not finite.
        IntegrityError: A rank holds other weights than the others.
        LostError: A rank is gone.
    """
    for epoch in range(done + 1, recipe.epochs + 1):
        with _random_stream(recipe.seed, epoch, train.targets_N.device):
            train_loss, lr = _train_epoch(learner, train, recipe, method, epoch=epoch)
        learner.ranks.check_equal(learner.models, epoch)
        val_loss, metrics = validate(learner, val)
        if not math.isfinite(val_loss):
            raise _diverged(f"the loss on validation is {val_loss} after epoch {epoch}")
        yield EpochReport(epoch, lr, train_loss, val_loss, metrics, len(train))


def predict(learner: Learner, examples: Examples) -> Tensor:
    """Return the outputs for every item, in order, on the CPU: float32 [N, K]."""
    learner.kept.eval()
    sizes_N = examples.sizes_N
    order = np.arange(len(examples)) if sizes_N is None else np.argsort(sizes_N, kind="stable")
    chunks = np.array_split(order, count_batches(len(examples), _PREDICT_BATCH))

    def outputs(chunk: np.ndarray) -> Tensor:
        found: Tensor = learner.kept(examples.read(chunk, 0))
        return found.float().cpu()

    with torch.inference_mode(), learner.autocast():
        found = torch.cat(learner.ranks.spread(chunks, outputs))
        return found[torch.from_numpy(np.argsort(order))]


def _train_epoch(
    learner: Learner, train: Examples, recipe: Recipe, method: Method, *, epoch: int
) -> tuple[float | None, float]:
    """Train one epoch; give its mean loss, if it may be known, and its last learning rate."""
    _unfreeze(learner.groups, recipe.train.unfreeze_epochs, epoch)
    _set_training(learner.model, recipe.train.batch_norm)
    generator = numpy_generator(recipe.seed, "order", epoch)
    batches = method.batches(generator.permutation(len(train)), recipe)
    if train.sizes_N is not None and method.tells_loss:
        batches = make_alike(batches, train.sizes_N, generator)
    sums = torch.zeros(len(batches), 2, device=train.targets_N.device)
    total_steps = recipe.epochs * len(batches)
    lr = math.nan
    for step, items in enumerate(batches):
        done = (epoch - 1) * len(batches) + step
        lr = recipe.optim.lr * lr_factor(done, total_steps, recipe.schedule)
        set_lr(learner.optimizer, lr)
        if recipe.train.parts == 1:
            sums[step] = method.step(learner, _batch(train, recipe, items, epoch, step), recipe)
        else:
            read = partial(_part, train, recipe, items, epoch, step)
            sums[step] = step_in_parts(learner, read, recipe)
        if learner.average is not None:
            learner.average.update(learner.model, done)
        if step % _LOOK_EVERY == _LOOK_EVERY - 1 and sums.device.type == "cpu":
            _refuse_non_finite(sums, epoch)  # elsewhere a look would wait for the device
    _refuse_non_finite(sums, epoch)
    if not method.tells_loss:
        return None, lr
    total, weight = sums.double().sum(dim=0).cpu()
    return float(losses.mean(total, weight)), lr


def _part(
    train: Examples, recipe: Recipe, items: np.ndarray, epoch: int, step: int, part: int
) -> Batch:
    """Return a part of a step: every so many of its items, so that all parts are alike in size."""
    torch.manual_seed(derive(recipe.seed, "epoch", epoch, step, part))
    return _batch(train, recipe, items[part :: recipe.train.parts], epoch, step, part)


def _batch(train: Examples, recipe: Recipe, items: np.ndarray, epoch: int, *place: int) -> Batch:
    """Return some items of an epoch, mixed with each other as follows from their place in it."""
    where = torch.from_numpy(items).to(train.targets_N.device)
    inputs, mix = mix_batch(
        train.read(items, epoch),
        mixup=recipe.train.mixup,
        cutmix=recipe.train.cutmix,
        generator=numpy_generator(recipe.seed, "mix", epoch, *place),
    )
    return Batch(inputs, train.targets_N[where], train.weights_N[where], mix, items)


def validate(
    learner: Learner, val: Examples, outputs_NK: Tensor | None = None
) -> tuple[float, Mapping[str, float]]:
    """Return the loss on validation of what is kept, without label smoothing, and the metrics.

    Args:
        learner: With what is kept.
        val: The items.
        outputs_NK: Theirs, on the CPU; None: they are computed.
    """
    if outputs_NK is None:
        outputs_NK = predict(learner, val)
    device = val.targets_N.device
    # unsmoothed: the number that picks an epoch must not depend on how hard training was made
    loss = replace(learner.loss, label_smoothing=0.0)
    total, weight = loss.sums(outputs_NK.to(device), val.targets_N, val.weights_N)
    metrics = learner.score(outputs_NK, val.targets_N.cpu())
    return float(losses.mean(total, weight)), metrics


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


def _refuse_non_finite(sums: Tensor, epoch: int) -> None:
    finite = sums[:, 0].isfinite()
    if not bool(finite.all()):
        step = int(finite.logical_not().nonzero()[0])
        raise _diverged(
            f"the loss is {float(sums[step, 0])} in epoch {epoch}, step {step + 1} of {len(sums)}"
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
