"""What metrics.json says of the plain model beside, in words."""

from collections.abc import Mapping
from typing import Any

from pipeline.judge.metrics import main


def beside(found: Mapping[str, Any], name: str) -> str:
    """Return the plain model and its value of a metric, with the gain over it; empty for none."""
    plain = found.get("beside", {})
    if name not in plain:
        return ""
    gain = plain["gain"].get(name)
    spread = f" (gain {_span(gain)})" if gain else ""
    return f"{plain['name']} {plain[name]:.4f}{spread}"


def doubt(found: Mapping[str, Any]) -> str | None:
    """Return a warning where the gain in the main metric may be none, in one line."""
    name, plain = main(found), found.get("beside", {})
    gain = plain.get("gain", {}).get(name)
    if not gain or gain["low"] > 0.0:
        return None
    return (
        f"transfer does not pay here: {name} is {found[name]:.4f}, and {plain[name]:.4f} by "
        f"{plain['name']} alone; the gain is {gain['value']:+.4f} (95 %: {_span(gain)})"
    )


def _span(gain: Mapping[str, float]) -> str:
    return f"{gain['low']:+.4f} to {gain['high']:+.4f}"
