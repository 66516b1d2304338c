"""Pictures behind the protocol `Strip`."""

import numpy as np

from pipeline.ground.limits import ItemLimits
from pipeline.modality.types.stripping import CannotStrip, Stripped
from pipeline.picture.files import PictureFiles, picture_format
from pipeline.picture.read.carried import find_carried, shows_more
from pipeline.picture.read.decode import open_picture, read_orientation
from pipeline.picture.read.limits import MAX_PIXELS, item_limits
from pipeline.picture.read.spec import Picture, UndecodableImage
from pipeline.picture.strip.writers import WRITERS
from pipeline.raw.sniff import HEAD_BYTES


class PictureStrip:
    """Pictures behind the protocol `Strip`."""

    limits: ItemLimits = item_limits()

    def is_item(self, path: str, head: bytes) -> bool:
        """Return whether a file is a picture, by its name or its first bytes."""
        suffixes = (*PictureFiles.SUFFIXES, *PictureFiles.UNREAD_SUFFIXES)
        return path.lower().endswith(suffixes) or picture_format(head) is not None

    def strip(self, content: bytes) -> Stripped:
        """Return a picture's file with the same coded data, and nothing but what they need.

        Raises:
            CannotStrip: It is no whole picture, or it cannot be written without what it carries and
                stay the same to the last bit.
        """
        before = _open(content)
        found, small = find_carried(content)
        kinds = found | ({"shows_more"} if small and shows_more(small, before.pixels) else set())
        if not kinds:
            return Stripped(content, {})
        kind = str(picture_format(content[:HEAD_BYTES]))
        named = ", ".join(sorted(kinds))
        if kind not in WRITERS:
            raise CannotStrip(f"it carries {named}, and {kind} is not written; save it as PNG")
        plain = WRITERS[kind](content, read_orientation(content))
        if not _is_same(before, plain):
            raise CannotStrip(f"it carries {named}, and without them its pixels would change")
        if left := find_carried(plain)[0]:
            raise CannotStrip(f"it carries {', '.join(sorted(left))}, which would stay")
        return Stripped(plain, dict.fromkeys(sorted(kinds), 1))


def _open(content: bytes) -> Picture:
    try:
        return open_picture(content, background=(0, 0, 0), max_pixels=MAX_PIXELS, animated="first")
    except UndecodableImage as error:
        raise CannotStrip(f"{error.reason}: {error.detail}") from error


def _is_same(before: Picture, plain: bytes) -> bool:
    """Return whether a file decodes to the same picture."""
    try:
        after = _open(plain)
    except CannotStrip:
        return False
    return before.pixel_hash == after.pixel_hash and np.array_equal(before.pixels, after.pixels)


STRIP = PictureStrip()
