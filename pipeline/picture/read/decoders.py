"""Encoded pictures to tensors in confined processes that live on: for prediction.

The bytes may come from anybody. A decoder that crashes, hangs or floods the memory costs its
picture, which gets an error like one that cannot be decoded.
"""

from collections.abc import Generator, Iterable
from functools import partial
from typing import Any, NamedTuple

from pipeline.compute.pool import Lost, Pool
from pipeline.picture.read.decode import decode_noted
from pipeline.picture.read.limits import MAX_PIXELS, SECONDS, item_limits
from pipeline.picture.read.spec import DecodeSpec, Pixels, UndecodableImage

_CHUNK = 2
"""Pictures sent to a decoder at once."""


class Decoded(NamedTuple):
    """A picture that could be decoded."""

    pixels: Pixels
    """uint8 [3, size, size]."""
    notes: tuple[str, ...]
    """What a person should know of it, each as `<code>: <meaning>`."""


def try_decode(spec: DecodeSpec, raw: Any, *, max_pixels: int = MAX_PIXELS) -> Pixels | str:
    """Decode a picture, or say `<reason>: <detail>`.

    Returns:
        uint8 [3, size, size], or the error.
    """
    decoded = try_decode_noted(spec, raw, max_pixels=max_pixels)
    return decoded if isinstance(decoded, str) else decoded.pixels


def try_decode_noted(spec: DecodeSpec, raw: Any, *, max_pixels: int = MAX_PIXELS) -> Decoded | str:
    """Decode a picture and return it with its notes, or say `<reason>: <detail>`."""
    if not isinstance(raw, bytes):
        return f"not_bytes: the cell holds {type(raw).__name__}"
    try:
        return Decoded(*decode_noted(raw, spec, max_pixels=max_pixels))
    except UndecodableImage as error:
        return f"{error.reason}: {error.detail}"


class Decoders:
    """Processes that decode; used by one thread, as `Pool` is.

    Args:
        spec: Size and kind of the tensors.
        count: Of processes, at least 1.
        max_pixels: Larger pictures are refused by their header.
        seconds: For one picture.
    """

    def __init__(
        self,
        spec: DecodeSpec,
        count: int,
        *,
        max_pixels: int = MAX_PIXELS,
        seconds: float = SECONDS,
    ) -> None:
        # Anew: the server's import path is not that of a registered version's own code.
        self._pool: Pool[bytes, Decoded | str] = Pool(
            partial(try_decode_noted, spec, max_pixels=max_pixels),
            count,
            item_limits(max_pixels, seconds),
            chunk=_CHUNK,
            are_large=True,
            anew=True,
        )

    def decode(self, files: Iterable[bytes]) -> Generator[Decoded | str, None, None]:
        """Decode pictures in their order; a str is the error of one.

        Raises:
            MachineError: A process could not start.
        """
        for answer in self._pool.results(files):
            if isinstance(answer, Lost):
                yield f"decoder_{answer.reason}: {answer.detail}"
            else:
                yield answer

    def close(self) -> None:
        """End the processes."""
        self._pool.close()
