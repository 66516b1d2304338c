"""Heat maps as people see them: colors, laid over a picture, brought to the shape of its file.

Axes: H = height, W = width.
"""

import numpy as np
import numpy.typing as npt

from pipeline.data.picture import DecodeSpec, Pixels

Heat = npt.NDArray[np.float32]
"""[H, W] in [0, 1]."""

STOPS = ((0.0, 88, 24, 120), (0.35, 190, 40, 90), (0.65, 240, 110, 30), (1.0, 255, 226, 90))
"""From cold to hot: heat, red, green, blue. Brightness rises with heat, so it reads in gray too."""

_OPAQUE = 0.72
"""Share of the color over the picture where it is hottest."""


def heat_colors(heat: Heat) -> Pixels:
    """Give heat as colors that are the more transparent the colder: uint8 [H, W, 4], RGBA."""
    places = [place for place, *_ in STOPS]
    colors = np.array([color for _, *color in STOPS], dtype=np.float64)
    channels = [np.interp(heat, places, colors[:, each]) for each in range(3)]
    alpha = 255.0 * _OPAQUE * np.sqrt(heat.astype(np.float64))
    return np.stack([*channels, alpha], axis=-1).round().astype(np.uint8)


def lay_over(pixels: Pixels, heat: Heat) -> Pixels:
    """Lay heat over a picture of its size: uint8 [H, W, 3]."""
    layer = heat_colors(heat).astype(np.float64)
    share = layer[:, :, 3:] / 255.0
    return np.asarray((pixels * (1.0 - share) + layer[:, :, :3] * share).round(), dtype=np.uint8)


def to_frame(layer: Pixels, spec: DecodeSpec, *, width: int, height: int) -> Pixels:
    """Undo what `decode.resize` did to a picture's frame, so that a layer fits when stretched.

    `squash`: the layer as it is. `pad`: without the padding. `crop`: with transparent margins where
    the model sees nothing.

    Args:
        layer: uint8 [S, S, C], S the spec's size; 0 is transparent.
        spec: How the model's picture was made.
        width: Of the file's picture, after EXIF orientation, pixels.
        height: The same.

    Returns:
        uint8 [H, W, C], of about the proportions width : height where S is not the whole frame.
    """
    size, shortest, longest = spec.size_px, min(width, height), max(width, height)
    if spec.resize == "squash" or width == height:
        return layer
    if spec.resize == "pad":
        inner = [max(1, (2 * each * size + longest) // (2 * longest)) for each in (height, width)]
        top, left = ((size - each) // 2 for each in inner)
        return layer[top : top + inner[0], left : left + inner[1]]
    outer = [max(size, round(each * size / shortest)) for each in (height, width)]
    frame = np.zeros((*outer, layer.shape[2]), dtype=np.uint8)
    top, left = ((each - size) // 2 for each in outer)
    frame[top : top + size, left : left + size] = layer
    return frame
