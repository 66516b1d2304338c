"""The name and the description of a run: what people read of it in the MLflow UI."""

import os
from collections.abc import Mapping
from typing import Any

_SHORT = 7
_ROWS = (
    "accuracy",
    "balanced_accuracy",
    "f1_macro",
    "roc_auc",
    "pr_auc",
    "ece",
    "loss",
    "mae",
    "rmse",
    "r2",
)


def experiment_name() -> str | None:
    """Give the name of the `dvc exp` that this process runs in; None outside of one."""
    return os.environ.get("DVC_EXP_NAME") or None


def run_name(params: Mapping[str, Any], key: str) -> str:
    """Give a readable name: the experiment's, else backbone, strategy and a short key."""
    backbone = _leaf(params, "weights", "architecture")
    strategy = _leaf(params, "train", "strategy")
    return experiment_name() or f"{backbone}-{strategy}-{key[:_SHORT]}"


def describe_run(
    params: Mapping[str, Any], metrics: Mapping[str, Any], *, key: str, commit: str | None
) -> str:
    """Give a run's description in Markdown: the main numbers, and how to get it all back.

    Args:
        params: All params, by section.
        metrics: metrics.json.
        key: `dvc.key`.
        commit: The commit that the run is made from, or will be the parent of.
    """
    lines = [
        f"**{_leaf(params, 'weights', 'architecture')}**, strategy "
        f"`{_leaf(params, 'train', 'strategy')}`, {metrics.get('n', '?')} test items",
        "",
        "| metric (test) | value | 95 % interval | baseline |",
        "|---|---|---|---|",
        *(_row(name, metrics) for name in _ROWS if name in metrics),
        "",
        "Get it back: the tag `git.commit` names the commit"
        + (f" (at publishing, `{commit[:12]}`)" if commit else "")
        + "; then",
        "",
        "```",
        "git checkout <git.commit>",
        "dvc pull --with-deps publish",
        "dvc repro",
        "```",
        "",
        f"Key `{key}`. The files that it was made with are in `lineage/`.",
    ]
    return "\n".join(lines)


def _row(name: str, metrics: Mapping[str, Any]) -> str:
    interval = _leaf(metrics, "ci95", name)
    bounds = f"{interval['low']:.4f} to {interval['high']:.4f}" if interval else ""
    baseline = _leaf(metrics, "baseline", name)
    text = f"{baseline:.4f}" if isinstance(baseline, int | float) else ""
    return f"| {name} | {metrics[name]:.4f} | {bounds} | {text} |"


def _leaf(tree: Mapping[str, Any], *keys: str) -> Any:
    value: Any = tree
    for key in keys:
        value = value.get(key) if isinstance(value, Mapping) else None
    return value
