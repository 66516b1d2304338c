"""Match the tensors of a file with an architecture: names, shapes, types and values.

Nothing is loaded in part. What is left out (a classifier, counters, other parts of a larger model)
is counted and logged.
"""

import logging
from collections.abc import Mapping
from itertools import product
from pathlib import Path

import torch
from torch import Tensor

from pipeline.ground.errors import DataError
from pipeline.modality.nets import Net
from pipeline.modality.types.backbone import COUNTER
from pipeline.modality.types.pretrained import Shapes

log = logging.getLogger(__name__)

_PREFIXES = ("module.", "_orig_mod.", "model.", "backbone.", "bert.")
"""What training frameworks, `torch.compile` and our own network put before names."""

_MAX_PREFIXES = 3
_CASTABLE = (torch.float16, torch.bfloat16, torch.float64)


def match_tensors(
    tensors: Mapping[str, Tensor], architecture: str, net: Net, *, where: Path
) -> dict[str, Tensor]:
    """Return the float32 tensors of a backbone under the names of its net, without counters.

    Args:
        tensors: As read from a file.
        architecture: A name that `net` knows.
        net: Of the architecture's modality.
        where: The file, for messages.

    Raises:
        DataError: Names or shapes are others, or values are not finite.
    """
    needed = _needed(architecture, net)
    prefix = _find_prefix(tensors, needed)
    inside = {
        name.removeprefix(prefix): tensor
        for name, tensor in tensors.items()
        if name.startswith(prefix) and not name.endswith(COUNTER)
    }
    kept = net.without_classifier(
        {name: tuple(each.shape) for name, each in inside.items()}, architecture
    )
    _check_names(kept, needed, architecture, net, where=where)
    _tell(where, prefix, tensors, inside=inside, kept=kept)
    matched = {name: _as_float32(inside[name], name, where) for name in needed}
    cast = sum(inside[name].dtype in _CASTABLE for name in needed)
    if cast:
        log.warning("%s: %d of %d tensors cast to float32", where, cast, len(needed))
    return matched


def rename_in_order(
    tensors: Mapping[str, Tensor], architecture: str, net: Net, *, where: Path
) -> dict[str, Tensor]:
    """Return tensors under the names of their net by their order, if every shape and kind agrees.

    For files whose layers are those of the architecture, one to one, under other names.

    Raises:
        DataError: The number, a shape or a kind (weight, bias, running mean ...) differs.
    """
    wanted = net.shapes(architecture)
    theirs = [name for name in tensors if not name.endswith(COUNTER)]
    ours = [name for name in wanted if not name.endswith(COUNTER)]
    if len(theirs) != len(ours):
        raise DataError(
            where, f"must have the {len(ours)} tensors of {architecture}", got=len(theirs)
        )
    for source, target in zip(theirs, ours, strict=True):
        shape = tuple(tensors[source].shape)
        if shape != wanted[target] or _last(source) != _last(target):
            raise DataError(
                where,
                f"must be {target} of {architecture}, {wanted[target]}",
                field=source,
                got=shape,
                remedy="see weights.architecture",
            )
    return {target: tensors[source] for source, target in zip(theirs, ours, strict=True)}


def _needed(architecture: str, net: Net) -> Shapes:
    kept = net.without_classifier(net.shapes(architecture), architecture)
    return {name: shape for name, shape in kept.items() if not name.endswith(COUNTER)}


def _find_prefix(names: Mapping[str, Tensor], needed: Shapes) -> str:
    """Return the shortest prefix under which most of the needed names are found."""
    prefixes = [
        "".join(chain)
        for length in range(_MAX_PREFIXES + 1)
        for chain in product(_PREFIXES, repeat=length)
    ]
    return max(prefixes, key=lambda prefix: sum(prefix + name in names for name in needed))


def _check_names(kept: Shapes, needed: Shapes, architecture: str, net: Net, *, where: Path) -> None:
    missing = [name for name in needed if name not in kept]
    unexpected = [name for name in kept if name not in needed]
    reshaped = [name for name in needed if name in kept and kept[name] != needed[name]]
    if not (missing or unexpected or reshaped):
        return
    counts = [
        (missing, f"{len(missing)} of {len(needed)} missing"),
        (unexpected, f"{len(unexpected)} unexpected"),
        (reshaped, f"{len(reshaped)} of another shape"),
    ]
    told = ", ".join(f"{text} (first: {names[0]})" for names, text in counts if names)
    likely = net.looks_like(kept, besides=architecture)
    raise DataError(
        where,
        f"must hold the tensors of {architecture}: {told}",
        remedy=f"it looks like {likely}: see weights.architecture"
        if likely
        else "see weights.architecture and weights.source",
    )


def _tell(
    where: Path,
    prefix: str,
    tensors: Mapping[str, Tensor],
    *,
    inside: Mapping[str, Tensor],
    kept: Shapes,
) -> None:
    if prefix:
        log.info("%s: the prefix %r is taken off", where, prefix)
    outside = sum(not name.startswith(prefix) for name in tensors)
    if outside:
        log.info("%s: %d tensors outside of %r are left out", where, outside, prefix)
    if len(inside) > len(kept):
        log.info("%s: %d tensors of a classifier are left out", where, len(inside) - len(kept))


def _as_float32(tensor: Tensor, name: str, where: Path) -> Tensor:
    if tensor.dtype not in (torch.float32, *_CASTABLE) or tensor.layout != torch.strided:
        found = f"{tensor.dtype}, {tensor.layout}"
        raise DataError(where, "must be dense floating-point numbers", field=name, got=found)
    values = tensor.detach().to(torch.float32)
    broken = values.numel() - int(values.isfinite().sum())
    if broken:
        raise DataError(
            where,
            f"must be finite, but {broken} of {values.numel()} values are NaN or infinite",
            field=name,
            remedy="take weights from before the training failed",
        )
    return values


def _last(name: str) -> str:
    return name.rsplit(".", 1)[-1]
