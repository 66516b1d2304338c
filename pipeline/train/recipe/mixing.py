"""Mixup and CutMix: every item is mixed with another one of its batch, and so are their targets.

Source: mixup, Zhang et al. (2018), also of activations (Verma et al. 2019, at one fixed layer);
CutMix, Yun et al. (2019). Each item draws its own share.

Axes: B = items of a batch, H = height, W = width.
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

_CUTMIX_SHARE = 0.5
"""Of the steps, where both are on."""


@dataclass(frozen=True)
class Mix:
    """How a batch was mixed.

    Attributes:
        partners_B: int64, the other item of each.
        shares_B: float32, how much of an item is its own, 0..1.
    """

    partners_B: Tensor
    shares_B: Tensor


def mix_batch(
    inputs: Tensor, *, mixup: float, cutmix: float, generator: np.random.Generator
) -> tuple[Tensor, Mix | None]:
    """Mix a batch, or leave it alone where both are 0.

    Args:
        inputs: [B, ...]; for CutMix [B, C, H, W]. Not changed.
        mixup: Alpha of the Beta distribution of shares; 0: off.
        cutmix: Likewise.
        generator: Of shares, partners and places.

    Returns:
        The mixed batch, float32 after mixup; and what it is mixed of.
    """
    if mixup == 0 and cutmix == 0:
        return inputs, None
    cuts = mixup == 0 or (cutmix > 0 and generator.random() < _CUTMIX_SHARE)
    items, alpha = len(inputs), cutmix if cuts else mixup
    partners = torch.from_numpy(generator.permutation(items)).to(inputs.device)
    shares = generator.beta(alpha, alpha, items).astype(np.float32)
    if cuts:
        inputs, shares = _paste(inputs, inputs[partners], shares, generator)
        return inputs, Mix(partners, torch.from_numpy(shares).to(inputs.device))
    shares_B = torch.from_numpy(shares).to(inputs.device)
    weight = shares_B.view(-1, *[1] * (inputs.ndim - 1))
    whole = inputs.float()
    return whole[partners].lerp(whole, weight), Mix(partners, shares_B)


def _paste(
    inputs: Tensor, others: Tensor, shares: np.ndarray, generator: np.random.Generator
) -> tuple[Tensor, np.ndarray]:
    """Paste a rectangle of every other item; give the shares that are left."""
    height, width = inputs.shape[-2:]
    mixed = inputs.clone()
    left = np.empty_like(shares)
    for at, share in enumerate(shares):
        half = np.sqrt(1.0 - share) / 2
        y, x = generator.random(2)
        top, bottom = (round(np.clip(each, 0, 1) * height) for each in (y - half, y + half))
        start, end = (round(np.clip(each, 0, 1) * width) for each in (x - half, x + half))
        mixed[at, :, top:bottom, start:end] = others[at, :, top:bottom, start:end]
        left[at] = 1 - (bottom - top) * (end - start) / (height * width)
    return mixed, left
