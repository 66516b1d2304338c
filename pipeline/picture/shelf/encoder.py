"""The Encoder of pictures: files decoded to rows of the store."""

from collections.abc import Sequence

from pipeline.picture import files
from pipeline.picture.read import decode, deep, spec, tiff
from pipeline.picture.read.limits import item_limits
from pipeline.picture.read.spec import DecodeSpec, Pixels, UndecodableImage
from pipeline.raw import sniff
from pipeline.store.previous_build import code_digest


class PictureEncoder:
    """A row is a picture of the size of a spec."""

    max_bytes = item_limits().bytes
    less_room = "lower transform.size_px"
    less_refused = "lower clean.max_pixels"

    def code(self) -> str:
        """Return a digest of the code that decides the bytes of a row."""
        return code_digest(decode, deep, files, spec, sniff, tiff, versions=decode.VERSIONS)

    def encode(self, content: bytes, specs: Sequence[DecodeSpec]) -> list[Pixels] | str:
        """Return the row of an item under each spec, or say why there is none."""
        try:
            return decode.decode_each(content, specs)
        except UndecodableImage as error:
            return str(error)


ENCODER = PictureEncoder()
