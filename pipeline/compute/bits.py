"""What a processor makes of a few operations: two of equal names may round differently.

The libraries below torch choose kernels by maker, model and caches, which no flag tells. On two
processors that torch calls AVX512 with bfloat16, the same training gave other last bits.
"""

import hashlib
from collections.abc import Iterator
from functools import cache

import torch
from torch import Tensor
from torch.nn import functional

_LETTERS = 12


@cache
def cpu_bits(threads: int, *, low: bool) -> str:
    """Return a digest of results on the CPU, the same wherever the bits are the same.

    Args:
        threads: That torch uses now.
        low: Whether to compute in bfloat16 too.
    """
    digest = hashlib.sha256()
    with (
        torch.inference_mode(mode=False),
        torch.enable_grad(),
        torch.autocast("cpu", enabled=False),
    ):
        for dtype in (torch.float32, torch.bfloat16)[: 1 + low]:
            for each in _results(dtype):
                digest.update(each.float().numpy().tobytes())
    return digest.hexdigest()[:_LETTERS]


def _results(dtype: torch.dtype) -> Iterator[Tensor]:
    """Yield what the kinds of operations give that networks are made of, with their gradients."""
    generator = torch.Generator().manual_seed(0)

    def values(*shape: int) -> Tensor:
        return torch.randn(shape, generator=generator).to(dtype).requires_grad_()

    maps, kernel, depthwise = values(4, 24, 19, 19), values(40, 24, 3, 3), values(40, 1, 5, 5)
    rows, weight, wide = values(33, 387), values(7, 387), values(387, 515)
    convolved = functional.conv2d(maps, kernel, stride=2)
    convolved = functional.conv2d(functional.gelu(convolved), depthwise, groups=40)
    outputs = functional.linear(functional.layer_norm(rows, (387,)), weight)
    mixed = functional.softmax(rows @ wide, dim=1)
    loss = functional.cross_entropy(outputs.float(), torch.arange(33) % 7)
    total = loss + convolved.float().square().mean() + mixed.float().std()
    yield from torch.autograd.grad(total, (maps, kernel, depthwise, rows, weight, wide))
    for each in (convolved, outputs, mixed, total):
        yield each.detach()
