"""The gates that a candidate must pass to become champion: all of them, or it is refused.

With no champion yet, only the bounds on the candidate itself are judged. Against a champion, it
must be better on `registry.metric` beyond noise: the low end of the paired interval must lie above
`registry.min_gain`, which is 0 by default. A test split is small and is scored again and again; if
a larger number alone were enough, one candidate in two that is no better would win, and the
champion would drift by luck. `min_gain` below 0 lets in a candidate that may be so much worse; it
must then still be better on average, or many steps of a little worse would add up.
"""

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from pipeline.judge.paired import RECALL, Gain
from pipeline.version.params import GateParams

_ROUNDING = 1e-9
_SHOWN = 5
"""Gates that the reason of a refusal names: there is one for each class."""


@dataclass(frozen=True)
class Measured:
    """What the candidate costs; None where nobody asked."""

    bytes: int | None = None
    """Of model.safetensors."""

    latency_ms: float | None = None
    """Median time of predicting one item alone, from its bytes, on the machine that judges."""


@dataclass(frozen=True)
class Gate:
    """One condition, and how it came out."""

    name: str
    is_passed: bool
    value: float | None
    """What was compared; None where it is not defined, which never passes."""

    limit: float
    text: str
    """For people: the value, what must hold, and by how much it does not."""


@dataclass(frozen=True)
class GateReport:
    """All gates."""

    gates: tuple[Gate, ...]

    @property
    def is_passed(self) -> bool:
        """Whether every gate is."""
        return all(gate.is_passed for gate in self.gates)

    @property
    def reason(self) -> str:
        """Why not, or what was passed, in one line."""
        failed = [gate.text for gate in self.gates if not gate.is_passed]
        shown = failed[:_SHOWN] or [gate.text for gate in self.gates[:1]]
        rest = len(failed) - _SHOWN
        return "; ".join([*shown, *([f"and {rest} more gates"] if rest > 0 else [])])

    def as_json(self) -> list[dict[str, Any]]:
        """Return the gates as a JSON value."""
        return [asdict(gate) for gate in self.gates]


def judge_alone(params: GateParams, scores: Mapping[str, float], measured: Measured) -> GateReport:
    """Judge a candidate where there is no champion: by the bounds alone.

    Args:
        params: The bounds.
        scores: As `paired.score` gives them.
        measured: Its size and latency.
    """
    return GateReport(tuple(_bounds(params, scores, measured)))


def judge_paired(params: GateParams, gains: Mapping[str, Gain], measured: Measured) -> GateReport:
    """Judge a candidate against the champion.

    Args:
        params: What must hold.
        gains: As `paired.compare` gives them.
        measured: The candidate's size and latency.
    """
    own = {name: gain.candidate for name, gain in gains.items() if gain.candidate is not None}
    return GateReport(
        (
            _better(params, gains[params.metric]),
            *_relative(params, gains),
            *_bounds(params, own, measured),
        )
    )


def _better(params: GateParams, gain: Gain) -> Gate:
    name, limit = params.metric, params.min_gain
    if gain.value is None or gain.low is None or gain.high is None:
        return Gate(name, False, None, limit, f"{name}: not defined on the test items in common")
    is_passed = gain.low > limit and gain.value > 0
    found = (
        f"{name} {gain.candidate:.4f} against {gain.champion:.4f}: gain {gain.value:+.4f} "
        f"({100 * params.confidence:g} %: {gain.low:+.4f} to {gain.high:+.4f})"
    )
    if is_passed:
        text = f"{found}, better beyond noise" if limit >= 0 else f"{found}, above {limit:g}"
    elif gain.high < 0:
        text = f"{found}, worse beyond noise"
    elif gain.low > limit:
        text = f"{found}, must be better on average"
    else:
        text = (
            f"{found}, not better beyond noise: the low end must be above {limit:g}, "
            f"it lacks {limit - gain.low:.4f}"
        )
    return Gate(name, is_passed, gain.low, limit, text)


def _relative(params: GateParams, gains: Mapping[str, Gain]) -> Iterator[Gate]:
    """Judge what the champion does better, class by class."""
    if params.max_class_drop is not None:
        for name, gain in gains.items():
            if name.startswith(RECALL) and gain.value is not None:
                what = f"recall of {name.removeprefix(RECALL)!r}, fall"
                yield _most(f"drop.{name}", what, 0.0 - gain.value, params.max_class_drop)
    ece = gains.get("ece")
    if params.max_ece_rise is not None and ece is not None and ece.value is not None:
        yield _most("rise.ece", "calibration error, rise", 0.0 - ece.value, params.max_ece_rise)


def _bounds(params: GateParams, scores: Mapping[str, float], measured: Measured) -> Iterator[Gate]:
    """Judge the candidate by itself."""
    if params.min_class_recall is not None:
        for name, value in scores.items():
            if name.startswith(RECALL):
                yield _least(
                    name, f"recall of {name.removeprefix(RECALL)!r}", value, params.min_class_recall
                )
    if params.max_ece is not None and "ece" in scores:
        yield _most("ece", "calibration error", scores["ece"], params.max_ece)
    if params.max_bytes is not None:
        yield _most("bytes", "bytes of the model", measured.bytes, params.max_bytes)
    if params.max_latency_ms is not None:
        yield _most("latency_ms", "ms for one item", measured.latency_ms, params.max_latency_ms)


def _most(name: str, what: str, value: float | None, limit: float) -> Gate:
    is_passed = value is not None and value <= limit + _ROUNDING
    return Gate(name, is_passed, value, limit, _tell(what, value, "at most", limit, is_passed))


def _least(name: str, what: str, value: float, limit: float) -> Gate:
    is_passed = value >= limit - _ROUNDING
    return Gate(name, is_passed, value, limit, _tell(what, value, "at least", limit, is_passed))


def _tell(what: str, value: float | None, word: str, limit: float, is_passed: bool) -> str:
    if value is None:
        return f"{what}: not measured"
    end = "" if is_passed else f", off by {abs(value - limit):.4g}"
    return f"{what} {value:.4g}, {word} {limit:g}{end}"
