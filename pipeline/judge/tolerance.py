"""How far the numbers of one model may differ between machines."""

from typing import Any

_TOLERANCES = {"fp32": 1e-3, "bf16": 1e-2}
"""By precision; docs/decisions/0005 says what was measured."""


def tolerance(bundle: dict[str, Any]) -> float:
    """Return the largest difference between machines of a probability, or of a value in deviations.

    Args:
        bundle: bundle.json; bf16 rounds more roughly than fp32, and differently by processor.
    """
    return _TOLERANCES[bundle["precision"]]
