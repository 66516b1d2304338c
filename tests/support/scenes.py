"""Pictures with large soft shapes, which survive what happens to pictures: no two are alike."""

import numpy as np
from PIL import Image

from pipeline.picture.read.thumbnail import thumbnail


def scene(seed, *, size=(96, 72)):
    """Give a colored picture, the same for the same seed."""
    noise = np.random.default_rng(seed).integers(0, 256, (6, 7, 3), dtype=np.uint8)
    return Image.fromarray(noise).resize(size, Image.Resampling.BICUBIC)


def save_scene(path, seed, *, change=None, **options):
    """Write a picture, changed by a function where one is given."""
    path.parent.mkdir(parents=True, exist_ok=True)
    picture = scene(seed)
    (change(picture) if change else picture).save(path, **options)
    return path


def brightness(factor):
    """Give a change of the brightness."""
    return lambda picture: picture.point(lambda value: round(value * factor))


def small(picture):
    """Give the thumbnail of a picture."""
    return thumbnail(np.asarray(picture.convert("RGB")))
