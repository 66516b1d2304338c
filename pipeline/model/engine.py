"""The engine at the path where every registered version has it: an interface that stays.

`version/resident_main.py` loads a version by this path, whatever commit the version is from; see
docs/decisions/0020.
"""

from pipeline.engine.engine import Engine, Limits, choose_device

__all__ = ["DecodeLimits", "Engine", "choose_device"]


class DecodeLimits(Limits):
    """What reading one item may take, with the names that all commits have."""

    def __init__(self, max_pixels: int, seconds: float) -> None:
        super().__init__(max_pixels, seconds)
