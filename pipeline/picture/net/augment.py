"""Random changes of training pictures, for whole batches on the device.

Every picture has a random stream of its own, made from its own seed: what happens to it depends on
that seed alone, not on the batch it stands in.

Axes: B = pictures, C = channels, H = height, W = width.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from pipeline.picture.net.params import AugmentParams

_CACHED_PICTURES = 4
_DRAWS = 8
"""Random numbers of a picture: three coin throws, crop side, crop x and y, brightness, contrast."""


@dataclass(frozen=True)
class _Draws:
    """What happens to each picture of a batch; every array is [B]."""

    orientations: np.ndarray
    """0..7: 1 flips left for right, 2 top for bottom, 4 transposes first."""
    sides: np.ndarray
    """Pixels, of the square that is cut out."""
    lefts: np.ndarray
    tops: np.ndarray
    brightness: np.ndarray
    """A factor for all values."""
    contrast: np.ndarray
    """A factor for their distance to the picture's mean."""


def augment_batch(
    images_BCHW: Tensor,
    params: AugmentParams,
    seeds: Sequence[int],
    orientations: np.ndarray | None = None,
) -> Tensor:
    """Change each picture by its own random stream.

    Args:
        images_BCHW: uint8, or float on the scale of bytes, square; it is not changed.
        params: With everything off, the very same tensor is given back.
        seeds: One for each picture, in [0, 2^64).
        orientations: Codes for `orient`, [B], where they are not to be drawn.

    Returns:
        Same shape, type and device; values stay within 0..255.

    Raises:
        ValueError: The seeds are not as many as the pictures, or the pictures not square.
    """
    if len(seeds) != len(images_BCHW):
        raise ValueError(f"{len(images_BCHW)} pictures need as many seeds, got {len(seeds)}")
    height, width = images_BCHW.shape[-2:]
    if height != width:
        raise ValueError(f"pictures must be square, got {height} x {width}")
    draws = _draw(params, seeds, height)
    images = _turn(images_BCHW, draws.orientations if orientations is None else orientations)
    if params.crop_min_frac < 1:
        images = _crop(images, draws)
    if params.brightness > 0 or params.contrast > 0:
        images = _change_values(images, draws)
    return images


def orient(images_BCHW: Tensor, code: int) -> Tensor:
    """Transpose and flip all pictures in one way.

    Args:
        images_BCHW: Any type, square.
        code: 0..7, a sum: 1 flips left for right, 2 top for bottom, 4 transposes first.
    """
    turned = images_BCHW.transpose(-1, -2) if code & 4 else images_BCHW
    axes = [axis for bit, axis in ((1, -1), (2, -2)) if code & bit]
    return turned.flip(axes) if axes else turned


def spread_orientations(
    params: AugmentParams, seeds: Sequence[int], *, view: int, views: int
) -> np.ndarray:
    """Draw an orientation for one of several views of each picture.

    Views of a picture differ as far as the probabilities allow: each draws from a part of its own
    of their distribution (stratified sampling). The picture as it is stands first in it, so view 0
    gives it if one of the views is to; the order of the others is random for each picture.

    Args:
        params: With the probabilities.
        seeds: One for each picture, in [0, 2^64), the same for all its views.
        view: In [0, views).
        views: How many there are.

    Returns:
        Codes for `orient`, int64 [B].
    """
    chances = np.ones(8)
    for bit, chance in ((1, params.hflip), (2, params.vflip), (4, params.transpose)):
        chances *= np.where(np.arange(8) & bit, chance, 1 - chance)
    uniform = _uniform(np.array(seeds, dtype=np.uint64))
    keys = np.concatenate([np.full_like(uniform[:1], -1.0), uniform[1:8]])
    order = keys.argsort(axis=0)
    upper = chances[order].cumsum(axis=0)[:-1]  # of the last one it is 1, but for rounding
    place = (upper <= (view + uniform[0]) / views).sum(axis=0)
    return np.asarray(np.take_along_axis(order, place[np.newaxis], axis=0)[0])


def _draw(params: AugmentParams, seeds: Sequence[int], size: int) -> _Draws:
    uniform = _uniform(np.array(seeds, dtype=np.uint64))
    smallest = max(1, math.ceil(params.crop_min_frac * size))
    sides = smallest + np.floor(uniform[3] * (size - smallest + 1)).astype(np.int64)
    return _Draws(
        orientations=(uniform[0] < params.hflip)
        + 2 * (uniform[1] < params.vflip)
        + 4 * (uniform[2] < params.transpose),
        sides=sides,
        lefts=np.floor(uniform[4] * (size - sides + 1)).astype(np.int64),
        tops=np.floor(uniform[5] * (size - sides + 1)).astype(np.int64),
        brightness=1 + (2 * uniform[6] - 1) * params.brightness,
        contrast=1 + (2 * uniform[7] - 1) * params.contrast,
    )


def _uniform(seeds: np.ndarray) -> np.ndarray:
    """Return `_DRAWS` numbers in [0, 1) for each seed, [_DRAWS, B].

    Source: SplitMix64 (Steele, Lea and Flood 2014), whose n-th number needs no state but n.
    """
    counters = np.arange(1, _DRAWS + 1, dtype=np.uint64)[:, np.newaxis]
    # The seed is mixed first: streams of seeds that differ by the increment would overlap.
    z = _mix(seeds)[np.newaxis] + counters * np.uint64(0x9E3779B97F4A7C15)
    return (_mix(z) >> np.uint64(11)).astype(np.float64) * 2.0**-53


def _mix(z: np.ndarray) -> np.ndarray:
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return np.asarray(z ^ (z >> np.uint64(31)))


def _turn(images: Tensor, orientations: np.ndarray) -> Tensor:
    """Transpose and flip; pictures that share an orientation are turned together."""
    if not orientations.any():
        return images
    out = torch.empty_like(images)
    for code in np.unique(orientations):
        rows = torch.from_numpy(np.flatnonzero(orientations == code)).to(images.device)
        out[rows] = orient(images[rows], int(code))
    return out


def _crop(images: Tensor, draws: _Draws) -> Tensor:
    """Cut a square out of each picture and bring it back to full size, bilinear."""
    out = torch.empty_like(images)
    size = images.shape[-2:]
    for at, (side, left, top) in enumerate(zip(draws.sides, draws.lefts, draws.tops, strict=True)):
        piece = images[at : at + 1, :, top : top + side, left : left + side]
        if images.device.type != "cpu":
            # Only the CPU is known to round bytes; there it is also four times as fast as floats.
            piece = piece.to(torch.float32)
        resized = F.interpolate(piece, size=size, mode="bilinear", align_corners=False)[0]
        out[at] = resized if images.is_floating_point() else resized.round()
    return out


def _change_values(images: Tensor, draws: _Draws) -> Tensor:
    """Scale each picture's contrast around its mean, then its brightness."""
    out = torch.empty_like(images)
    # Few pictures at once stay in a processor's cache: 4 times as fast there.
    step = _CACHED_PICTURES if images.device.type == "cpu" else max(1, len(images))
    for start in range(0, len(images), step):
        part = images[start : start + step]
        contrast, brightness = (
            torch.from_numpy(each[start : start + step].astype(np.float32)).to(images.device)
            for each in (draws.contrast, draws.brightness)
        )
        means = _means(part)
        factor = contrast * brightness
        shift = (1 - contrast) * means * brightness
        # Not `mul_`: a float input would be changed itself.
        values = part.to(torch.float32) * factor.view(-1, 1, 1, 1)
        values += shift.view(-1, 1, 1, 1)
        if not images.is_floating_point():
            values = values.round_()
        out[start : start + step] = values.clamp_(0, 255)
    return out


def _means(images: Tensor) -> Tensor:
    """Return each picture's mean, [B]; of bytes from exact sums, in any order."""
    values = images[0].numel()
    if images.is_floating_point():
        return torch.stack([image.mean(dtype=torch.float64) for image in images]).float()
    return (images.sum((1, 2, 3), dtype=torch.int64) / values).float()
