"""What the server has done, counted, in Prometheus' text format.

The format is small: a line for each value, after two that say what it means and of what type it is.
https://prometheus.io/docs/instrumenting/exposition_formats
"""

import re
import time
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from pipeline.serving.replicas.words import fill

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
_ITEMS = (1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0)
_CODE = re.compile(r"[a-z][a-z0-9_]{0,39}")
_ESCAPES = str.maketrans({"\\": r"\\", "\n": r"\n", '"': r"\""})

Labels = tuple[str, ...]


@dataclass
class Counter:
    """Numbers that only grow, one for each set of labels."""

    name: str
    help: str
    labels: Labels = ()
    values: dict[Labels, float] = field(default_factory=dict)

    def add(self, *labels: str, by: float = 1) -> None:
        """Add to one of them."""
        self.values[labels] = self.values.get(labels, 0) + by

    def lines(self) -> Iterator[str]:
        """Write them."""
        yield from _head(self.name, self.help, "counter")
        values = self.values or ({} if self.labels else {(): 0})
        for labels, value in sorted(values.items()):
            yield _line(self.name, zip(self.labels, labels, strict=True), value)


@dataclass
class Histogram:
    """How many values lay below each of some bounds, their number and their sum."""

    name: str
    help: str
    bounds: Sequence[float]
    labels: Labels = ()
    counts: dict[Labels, list[int]] = field(default_factory=dict)
    sums: dict[Labels, float] = field(default_factory=dict)

    def observe(self, value: float, *labels: str) -> None:
        """Count a value."""
        counts = self.counts.setdefault(labels, [0] * (len(self.bounds) + 1))
        counts[bisect_left(self.bounds, value)] += 1
        self.sums[labels] = self.sums.get(labels, 0.0) + value

    def lines(self) -> Iterator[str]:
        """Write them."""
        yield from _head(self.name, self.help, "histogram")
        for labels, counts in sorted(self.counts.items()):
            named = list(zip(self.labels, labels, strict=True))
            total = 0
            for bound, count in zip((*map(_number, self.bounds), "+Inf"), counts, strict=True):
                total += count
                yield _line(f"{self.name}_bucket", [*named, ("le", bound)], total)
            yield _line(f"{self.name}_sum", named, self.sums[labels])
            yield _line(f"{self.name}_count", named, total)


class Metrics:
    """All that is counted from the start of the server."""

    def __init__(self) -> None:
        self.started = time.time()
        self.requests = Counter(
            "rootstock_requests_total",
            "Requests that were answered, by route, method and status.",
            ("path", "method", "code"),
        )
        self.seconds = Histogram(
            "rootstock_request_seconds",
            "Seconds from a request's head to the end of its answer.",
            _SECONDS,
            ("path",),
        )
        self.refusals = Counter(
            "rootstock_refusals_total",
            "Requests that were refused, by the code of the reason.",
            ("reason",),
        )
        self.items = Counter("rootstock_<many>_total", "<Many> that were predicted.")
        self.errors = Counter(
            "rootstock_<one>_errors_total",
            "<Many> that could not be predicted, by the code of the reason.",
            ("reason",),
        )
        self.batch_items = Histogram("rootstock_batch_<many>", "<Many> in a batch.", _ITEMS)
        self.batch_seconds = Histogram(
            "rootstock_batch_seconds", "Seconds that a batch took, with its decoding.", _SECONDS
        )
        self._all = (
            self.requests,
            self.seconds,
            self.refusals,
            self.items,
            self.errors,
            self.batch_items,
            self.batch_seconds,
        )

    def refuse(self, code: str) -> None:
        """Count a refusal."""
        self.refusals.add(_code(code))

    def item(self, error: str | None) -> None:
        """Count an item, by the `error` of its row."""
        if error is None:
            self.items.add()
        else:
            self.errors.add(_code(error.partition(": ")[0]))

    def batch(self, items: int, seconds: float) -> None:
        """Count a batch."""
        self.batch_items.observe(items)
        self.batch_seconds.observe(seconds)

    def write(
        self,
        now: Mapping[str, tuple[str, str, float]],
        info: Mapping[str, str],
        words: Mapping[str, str],
    ) -> str:
        """Return the text that Prometheus reads.

        Args:
            now: Values of this moment by their names, each with its type and meaning.
            info: Labels that name the model.
            words: Fill names and meanings; see `words_of`.
        """
        lines = [line for each in self._all for line in each.lines()]
        for name, (kind, meaning, value) in now.items():
            lines += [*_head(name, meaning, kind), _line(name, (), value)]
        lines = fill(lines, words)
        lines += _head("rootstock_model_info", "The version that is served; always 1.", "gauge")
        if info:
            lines.append(_line("rootstock_model_info", info.items(), 1))
        name = "process_start_time_seconds"
        lines += [
            *_head(name, "Seconds since 1970 at which the server started.", "gauge"),
            _line(name, (), self.started),
        ]
        return "\n".join(lines) + "\n"


def _head(name: str, meaning: str, kind: str) -> tuple[str, str]:
    return f"# HELP {name} {meaning}", f"# TYPE {name} {kind}"


def _line(name: str, labels: Iterable[tuple[str, str]], value: float) -> str:
    text = ",".join(f'{key}="{each.translate(_ESCAPES)}"' for key, each in labels)
    return f"{name}{{{text}}} {_number(value)}" if text else f"{name} {_number(value)}"


def _number(value: float) -> str:
    return str(int(value)) if value == int(value) else repr(float(value))


def _code(text: str) -> str:
    """Keep the number of labels small, whatever a version answers."""
    return text if _CODE.fullmatch(text) else "other"
