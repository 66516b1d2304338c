"""Clipped gradients of a whole network, item by item: for layers with no shorter way.

Axes: B items of a batch, V units in it, C items computed at once.
"""

from dataclasses import dataclass
from typing import Any

import psutil
import torch
from torch import Tensor, nn
from torch.func import functional_call, grad, vmap

from pipeline.ground.errors import ParamsError
from pipeline.train.step import Batch, Learner

_BYTES = 2**28
"""Of gradients that are held at once, where an item's is smaller."""


@dataclass(frozen=True)
class Blocks:
    """Which items belong together, and how long the gradient of a unit may be."""

    units_B: Tensor
    clip: float


def clipped_blocks(learner: Learner, batch: Batch, blocks: Blocks) -> list[Tensor]:
    """Return for each parameter that learns the sum of the units' gradients, each clipped.

    Units are taken as they come, and few enough items at once for `_BYTES`.

    Raises:
        ParamsError: Memory does not hold the gradient of one item.
    """
    parameters = {
        name: each.detach() for name, each in learner.model.named_parameters() if each.requires_grad
    }
    chunk = items_at_once(parameters)
    units_B = blocks.units_B
    totals = [torch.zeros_like(each) for each in parameters.values()]
    counts_V = torch.bincount(units_B)
    for unit_rows in _packs(torch.argsort(units_B, stable=True), counts_V.tolist(), chunk):
        found = _of_units(learner, parameters, batch, unit_rows, chunk)
        lengths = torch.stack([each.square().flatten(1).sum(1) for each in found]).sum(0).sqrt()
        shares = blocks.clip / lengths.clamp(min=blocks.clip)
        for total, each in zip(totals, found, strict=True):
            total += torch.einsum("v,v...->...", shares, each)
    return totals


def items_at_once(parameters: dict[str, Tensor]) -> int:
    """Return of how many items gradients are held at once.

    Raises:
        ParamsError: There is no room for one.
    """
    one = sum(each.numel() * each.element_size() for each in parameters.values())
    kind = next(iter(parameters.values())).device
    free = torch.cuda.mem_get_info(kind)[0] if kind.type == "cuda" else _free_bytes()
    if 3 * one > free:
        raise ParamsError(
            "params.yaml",
            f"with train.privacy needs {3 * one / 2**20:.0f} MiB for the gradients of an item, and "
            f"{free / 2**20:.0f} MiB are free",
            field="train.strategy",
            remedy="set it to head, or to top with a higher features.cut",
        )
    return max(1, _BYTES // one)


def _free_bytes() -> int:
    return int(psutil.virtual_memory().available)


def _packs(order: Tensor, counts: list[int], most: int) -> list[list[Tensor]]:
    """Put the rows of whole units together, of at most so many items; a larger unit is alone."""
    packs: list[list[Tensor]] = []
    filled = most
    for rows in order.split(counts):
        if filled + len(rows) > most:
            packs.append([])
            filled = 0
        packs[-1].append(rows)
        filled += len(rows)
    return packs


def _of_units(
    learner: Learner,
    parameters: dict[str, Tensor],
    batch: Batch,
    unit_rows: list[Tensor],
    chunk: int,
) -> list[Tensor]:
    """Return the mean gradient of each of some units, by parameter: [V, ...]."""
    sizes = [len(each) for each in unit_rows]
    if len(sizes) > 1 or sizes[0] <= chunk:
        found = _of_items(learner, parameters, batch, torch.cat(unit_rows))
        if max(sizes) == 1:
            return found
        return [torch.stack([own.mean(0) for own in each.split(sizes)]) for each in found]
    totals = [torch.zeros_like(each)[None] for each in parameters.values()]
    for rows in unit_rows[0].split(chunk):
        for total, each in zip(totals, _of_items(learner, parameters, batch, rows), strict=True):
            total += each.sum(0) / sizes[0]
    return totals


def _of_items(
    learner: Learner, parameters: dict[str, Tensor], batch: Batch, rows: Tensor
) -> list[Tensor]:
    """Return the gradients of some items, by parameter: [C, ...]."""
    model: nn.Module = learner.model
    rows = rows.to(batch.targets_B.device)

    def loss_of(values: dict[str, Tensor], item: Tensor, target: Tensor, weight: Tensor) -> Any:
        with learner.autocast():
            outputs = functional_call(model, values, (item[None],))
        return learner.loss.by_item(outputs, target[None], weight[None])[0].sum()

    of_all = vmap(grad(loss_of), in_dims=(None, 0, 0, 0), randomness="different")
    found: dict[str, Tensor] = of_all(
        parameters, batch.inputs[rows], batch.targets_B[rows], batch.weights_B[rows]
    )
    return list(found.values())
