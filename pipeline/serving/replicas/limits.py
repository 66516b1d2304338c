"""What one request may cost, and all together."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Limits:
    """Bounds of the server; a request beyond one is refused with a status of its own."""

    max_bytes: int
    """Of a request's body."""

    max_pictures: int
    """In one request."""

    max_pixels: int
    """Of a picture, by its header."""

    timeout_s: float
    """From the first byte of a request's head to its answer."""

    queue: int
    """Pictures that wait, of all requests."""

    @property
    def max_bytes_held(self) -> int:
        """Bytes of bodies in memory, of all requests that are being read or wait."""
        return _BODIES * self.max_bytes


_BODIES = 16
"""Bodies of the largest size that may be held at once."""
