"""The engine at the path where every registered version has it: an interface that stays.

`version/resident_main.py` loads a version by this path, whatever commit the version is from; see
docs/decisions/0020.
"""

from pipeline.engine.engine import DecodeLimits, Engine, choose_device

__all__ = ["DecodeLimits", "Engine", "choose_device"]
