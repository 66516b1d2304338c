"""Numbers and counts as people read them."""

from collections.abc import Mapping


def number(value: float) -> str:
    """Return a number as people read it: three digits after the point, more where it is small."""
    return f"{value:.3f}" if value == 0 or abs(value) >= 0.0095 else f"{value:.2g}"


def count_views(count: int) -> str:
    """Return a number of views in words."""
    return "1 view" if count == 1 else f"{count} views"


def shuffled_correlations_told(sanity: Mapping[str, Mapping[str, float]]) -> list[str]:
    """Return the correlation with shuffled weights in words, for each level that has one."""
    return [
        f"{sanity[level]['mean']:.2f}{interval(sanity[level], '.2f')} with {what}"
        for level, what in (
            ("head", "the head's weights shuffled"),
            ("top", "those of the last stage as well"),
        )
        if "mean" in sanity[level]
    ]


def interval(found: Mapping[str, float], style: str) -> str:
    """Return the interval of a mean, to follow it; nothing where there is none."""
    if "low" not in found:
        return ""
    return f" (95%: {found['low']:{style}} to {found['high']:{style}})"
