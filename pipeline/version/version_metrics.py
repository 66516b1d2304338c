"""The metrics that a registered version carries, as `publish` wrote them."""

from contextlib import suppress

from pipeline.version.lookup import Lookup
from pipeline.version.registry import metric_tag


def read_metrics(uri: str) -> dict[str, float]:
    """Return the metrics of a version, by their names.

    Args:
        uri: `models:/<name>/<version>`.

    Raises:
        ParamsError: There is no such version.
        TrackingError: The server is away.
    """
    version = Lookup().by_name(uri).version
    metrics: dict[str, float] = {}
    for tag, value in sorted((version.tags if version else {}).items()):
        if tag.startswith(metric_tag("")):
            with suppress(ValueError):
                metrics[tag.removeprefix(metric_tag(""))] = float(value)
    return metrics
