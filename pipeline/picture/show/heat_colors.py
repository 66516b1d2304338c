"""Heat maps as people see them: colors, laid over a picture.

Axes: H = height, W = width.
"""

import numpy as np
import numpy.typing as npt

from pipeline.picture.read.spec import Pixels

Heat = npt.NDArray[np.float32]
"""[H, W] in [0, 1]."""

STOPS = ((0.0, 88, 24, 120), (0.35, 190, 40, 90), (0.65, 240, 110, 30), (1.0, 255, 226, 90))
"""From cold to hot: heat, red, green, blue. Brightness rises with heat, so it reads in gray too."""

_OPAQUE = 0.62
"""Share of the color over the picture where it is hottest."""


def heat_colors(heat: Heat) -> Pixels:
    """Return heat as colors that are the more transparent the colder: uint8 [H, W, 4], RGBA."""
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
