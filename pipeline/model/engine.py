"""The engine at the path where every registered version has it: an interface that stays.

`version/process/resident_main.py` loads a version by this path, of whatever commit it is; see
docs/decisions/0022.
"""

from pipeline.engine.engine import Engine, Limits, choose_device

__all__ = ["DecodeLimits", "Engine", "choose_device"]


class DecodeLimits(Limits):
    """What reading one item may take, with the names that all commits have."""

    def __init__(self, max_pixels: int, seconds: float) -> None:
        super().__init__(max_pixels, seconds)
