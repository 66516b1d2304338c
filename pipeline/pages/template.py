"""HTML from templates: what is put in is escaped, and a name that is not given is an error.

A template is a file `*.html` beside the code that fills it, named from the folder `pipeline`.
`pages/layout.html` is what pages have in common; nothing in it is loaded from elsewhere.
"""

from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from pipeline.raw.visible import visible

_PIPELINE = Path(__file__).parents[1]
_NAME_CHARS = 60


def render(template: str, **values: Any) -> str:
    """Return a filled template, such as `clean/page/report.html`."""
    return environment().get_template(template).render(values)


def shorten(text: str, limit: int = _NAME_CHARS) -> str:
    """Leave out the middle of a text that is too long: the end of a path tells most."""
    if len(text) <= limit:
        return text
    tail = limit * 2 // 3
    return f"{text[: limit - tail - 1]}…{text[-tail:]}"


@cache
def environment() -> Environment:
    """Return what all templates are read in."""
    found = Environment(
        loader=FileSystemLoader(_PIPELINE),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_shown,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    found.filters |= {"shorten": shorten, "spec": format}
    return found


def _shown(value: object) -> object:
    """Return what is written for a value, before it is escaped."""
    if value is None:
        return ""
    if isinstance(value, int):
        return f"{value:,}"
    return value if hasattr(value, "__html__") else visible(str(value))
