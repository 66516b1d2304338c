"""A step computed in parts, so that its bits do not depend on how many processes share it.

A step's items are cut into parts, and the cut depends on their number alone. Each part has its own
random numbers, partners to mix with and batch statistics. Sums over the parts are taken in a fixed
binary tree. Whoever computes a part, or adds two of them, comes to the same bits.

Axes: P parts, S statistics of all layers of batch normalization.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeAlias, TypeVar

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from pipeline.train.plan import Recipe
from pipeline.train.ranks import Ranks
from pipeline.train.recipe.losses import divisor
from pipeline.train.recipe.optim import clip_gradients
from pipeline.train.step import Batch, Learner, loss_sums

T = TypeVar("T")

Span: TypeAlias = tuple[int, int]
"""A node of the tree: the parts from the first to before the second."""

Values: TypeAlias = list[Tensor]
"""What is added up over the parts: the gradients, then the sums of the losses and weights."""


def step_in_parts(learner: Learner, read: Callable[[int], Batch], recipe: Recipe) -> Tensor:
    """Take a step along the gradient of the mean loss over all parts.

    Args:
        learner: Its ranks share the parts.
        read: Gives a part by its number, and sets torch's random state for it.
        recipe: Says how many parts there are.

    Returns:
        The sum of the losses, and of the weights: the same on every rank.
    """
    parameters = [each for each in learner.model.parameters() if each.requires_grad]
    statistics = Statistics(learner.model)

    def compute(part: int) -> Values:
        for each in parameters:
            each.grad = None
        with statistics.of_part():
            total, weight = loss_sums(learner, read(part))
            total.backward()
        sums = torch.stack([total.detach(), weight])
        return [each.grad for each in parameters if each.grad is not None] + [sums]

    *gradients, sums = add_parts(recipe.train.parts, compute, learner.ranks)
    statistics.apply(learner.ranks)
    torch._foreach_div_(gradients, divisor(sums[1]))
    moved = (each for each in parameters if each.grad is not None)
    for parameter, gradient in zip(moved, gradients, strict=True):
        parameter.grad = gradient
    clip_gradients(learner.model.parameters(), recipe.optim.clip_norm)
    learner.optimizer.step()
    return sums


def add_parts(parts: int, compute: Callable[[int], Values], ranks: Ranks) -> Values:
    """Return the sum over all parts, in the order of the tree, on every rank.

    Each rank adds up what it can of its own parts. Then each gets a piece of all that is left of
    all ranks, finishes the tree on it, and sends it to the others: the traffic of a ring.

    Args:
        parts: P.
        compute: Gives the values of a part; all parts have the same shapes.
        ranks: Share the parts.
    """

    def leaf(span: Span) -> Values | None:
        return compute(span[0]) if span[1] - span[0] == 1 else None

    spans = [
        list(spans_of((0, parts), own_parts(parts, number, ranks.count)))
        for number in range(ranks.count)
    ]
    own = [fold(span, leaf, _add) for span in spans[ranks.number]]
    if ranks.count == 1:
        return own[0]
    pieces = ranks.exchange([_flat(each, ranks.count) for each in own], [len(s) for s in spans])
    known = dict(zip([span for each in spans for span in each], pieces, strict=True))
    whole = ranks.gather(fold((0, parts), known.get, torch.add))
    sizes = [each.numel() for each in own[0]]
    for value, part in zip(own[0], whole[: sum(sizes)].split(sizes), strict=True):
        value.copy_(part.view(value.shape))  # into the layout in memory that the first one has
    return own[0]


def own_parts(parts: int, rank: int, ranks: int) -> range:
    """Return the parts that a rank computes; the number of ranks divides that of the parts."""
    each = parts // ranks
    return range(rank * each, (rank + 1) * each)


def spans_of(span: Span, own: range) -> Iterator[Span]:
    """Yield the largest nodes of the tree below a node that hold parts of one rank alone."""
    start, stop = span
    if own.start <= start and stop <= own.stop:
        yield span
    elif start < own.stop and own.start < stop:
        for half in _halves(span):
            yield from spans_of(half, own)


def fold(span: Span, known: Callable[[Span], T | None], add: Callable[[T, T], T]) -> T:
    """Return the sum over the parts of a node: of its first half, then of its second."""
    found = known(span)
    if found is not None:
        return found
    first, second = _halves(span)
    left = fold(first, known, add)
    return add(left, fold(second, known, add))


def _halves(span: Span) -> tuple[Span, Span]:
    start, stop = span
    middle = (start + stop) // 2
    return (start, middle), (middle, stop)


def _add(left: Values, right: Values) -> Values:
    torch._foreach_add_(left, right)
    return left


def _flat(values: Values, multiple: int) -> Tensor:
    """Return all values one after the other, filled up with zeros to a multiple in length."""
    length = sum(each.numel() for each in values)
    filling = values[-1].new_zeros(-length % multiple)
    return torch.cat([*(each.reshape(-1) for each in values), filling])


class Statistics:
    """The running statistics of batch normalization: each part moves them, in the parts' order.

    A momentum of 1 leaves a part's own statistics in the layers' buffers. They are taken from there
    and, once those of all parts are known, applied with the layers' own momentum.

    Args:
        model: In train mode, as it is to be for the step.
    """

    def __init__(self, model: nn.Module) -> None:
        self._layers = [
            each
            for each in model.modules()
            if isinstance(each, _BatchNorm) and each.training and each.track_running_stats
        ]
        self._before_S = self._read()
        self._found: list[Tensor] = []

    @contextmanager
    def of_part(self) -> Iterator[None]:
        """Take the statistics of the part that is computed in the block."""
        momenta = [each.momentum for each in self._layers]
        for each in self._layers:
            each.momentum = 1.0
        yield
        for each, momentum in zip(self._layers, momenta, strict=True):
            each.momentum = momentum
        self._found.append(self._read())

    def apply(self, ranks: Ranks) -> None:
        """Move the running statistics by those of all parts."""
        if not self._layers:
            return
        every_PS = ranks.gather(torch.stack(self._found))
        buffers = self._buffers()
        momenta = [float(each.momentum or 0) for each in self._layers for _ in range(2)]
        sizes = [len(each) for each in buffers]
        momenta_S = torch.tensor(momenta).repeat_interleave(torch.tensor(sizes)).to(every_PS)
        values_S = self._before_S
        for found_S in every_PS:
            values_S = values_S.lerp(found_S, momenta_S)
        torch._foreach_copy_(buffers, values_S.split(sizes))
        for each in self._layers:  # it counts parts, and has counted this rank's
            if each.num_batches_tracked is not None:
                each.num_batches_tracked.add_(len(every_PS) - len(self._found))

    def _buffers(self) -> list[Tensor]:
        """Return mean and variance of each layer."""
        pairs = ((layer.running_mean, layer.running_var) for layer in self._layers)
        return [each for pair in pairs for each in pair if each is not None]

    def _read(self) -> Tensor:
        """Return a copy of all, one after the other: [S]."""
        return torch.cat(self._buffers()) if self._layers else torch.empty(0)
