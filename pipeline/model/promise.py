"""What a bundle promises of the units of train, in words."""

from collections.abc import Mapping
from typing import Any


def promise(privacy: Mapping[str, Any]) -> str:
    """Return the promise in a line.

    Args:
        privacy: Of a bundle, as `Mechanism.facts` gives it.
    """
    return (
        f"epsilon {privacy['epsilon']:g}, delta {privacy['delta']:g} for each {privacy['unit']} "
        f"of train ({privacy['units']:,} of them)"
    )


def flat(privacy: Mapping[str, Any]) -> dict[str, Any]:
    """Return the promise and what decides it, under flat names."""
    training = privacy["releases"][0]
    return {
        "epsilon": privacy["epsilon"],
        "delta": privacy["delta"],
        "unit": privacy["unit"],
        "clip": privacy["clip"],
        "steps": training["steps"],
        "sampling_rate": training["rate"],
        "noise_multiplier": training["multiplier"],
        "public": ", ".join(privacy["public"]),
    }
