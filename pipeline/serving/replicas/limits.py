"""What one request may cost, and all together."""

from dataclasses import dataclass

from pipeline.modality.types.items import Input


@dataclass(frozen=True)
class Limits:
    """Bounds of the server; a request beyond one is refused with a status of its own."""

    max_bytes: int
    """Of a request's body."""

    max_items: int
    """In one request."""

    max_size: int
    """That an item may measure, in the unit of its modality."""

    timeout_s: float
    """From the first byte of a request's head to its answer."""

    queue: int
    """Items that wait, of all requests."""

    per_minute: int | None = None
    """Items of one client; None: any number."""

    @property
    def max_bytes_held(self) -> int:
        """Bytes of bodies in memory, of all requests that are being read or wait."""
        return _BODIES * self.max_bytes

    def told(self, item: Input) -> dict[str, float]:
        """Return the limits as `/model` shows them."""
        return {
            "max_bytes": self.max_bytes,
            f"max_{item.many}": self.max_items,
            item.size: self.max_size,
            "timeout_s": self.timeout_s,
            "queue": self.queue,
        } | ({} if self.per_minute is None else {"per_minute": self.per_minute})


_BODIES = 16
"""Bodies of the largest size that may be held at once."""
