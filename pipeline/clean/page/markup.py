"""HTML by construction: what is put into an element is escaped, unless it is an element itself."""

import html
from collections.abc import Iterable

from pipeline.raw.visible import visible

_VOID = ("br", "img", "meta")


class Html(str):
    """Text that is markup already; only this module makes it."""

    __slots__ = ()


Child = str | int | Iterable["Child"] | None
"""What an element may hold: text, which is escaped, numbers, elements, nothing, or several."""


def tag(element: str, /, *children: Child, **attributes: str | int | None) -> Html:
    """Return an element.

    Args:
        element: Its name.
        children: In order; numbers get separators of thousands.
        attributes: By name; `class_` is `class`, and `_` within a name is `-`. None: left out.
    """
    parts = [element]
    for key, value in attributes.items():
        if value is not None:
            parts.append(f'{key.rstrip("_").replace("_", "-")}="{_escaped(str(value))}"')
    opening = f"<{' '.join(parts)}>"
    if element in _VOID:
        return Html(opening)
    return Html(f"{opening}{''.join(map(_render, children))}</{element}>")


def style_sheet(css: str) -> Html:
    """Return a style element; `css` is our own text, put in as it is."""
    return Html(f"<style>\n{css}</style>")


def document(language: str, *children: Html) -> str:
    """Return a whole page, ending in a newline."""
    return f"<!doctype html>\n{tag('html', *children, lang=language)}\n"


def _render(child: Child) -> str:
    if child is None:
        return ""
    if isinstance(child, Html):
        return child
    if isinstance(child, str):
        return _escaped(child)
    if isinstance(child, int):
        return f"{child:,}"
    return "".join(map(_render, child))


def _escaped(text: str) -> str:
    return html.escape(visible(text), quote=True)
