"""Templates escape all but markup, refuse what is not given, and show what would act."""

import pytest
from jinja2 import UndefinedError

from pipeline.pages.template import environment, shorten
from pipeline.raw.visible import visible


def fill(template, /, **values) -> str:
    return environment().from_string(template).render(values)


@pytest.mark.parametrize("text", ["\udcff", "\x00", "a\u2028b", "\ufeff", "\u200d"])
def test_what_cannot_be_shown_is_spelled_out(text):
    assert visible(text).isprintable()
    fill("{{ text }}", text=text).encode("utf-8")


@pytest.mark.parametrize(
    ("value", "found"),
    [
        ("<b>", "&lt;b&gt;"),
        ("a\"'", "a&#34;&#39;"),
        ("&amp;", "&amp;amp;"),
        ("\u202egnp", "\\u202egnp"),
        (12345, "12,345"),
        (None, ""),
    ],
)
def test_values_are_escaped_and_numbers_are_readable(value, found):
    assert fill('<i title="{{ value }}">{{ value }}</i>', value=value) == (
        f'<i title="{found}">{found}</i>'
    )


def test_markup_of_macros_stays_and_what_is_joined_to_it_is_escaped():
    made = fill(
        "{% macro part(text) %}<i>{{ text }}</i>{% endmacro %}{{ part(a) + a }}{{ part(part(a)) }}",
        a="<b>",
    )
    assert made == "<i>&lt;b&gt;</i>&lt;b&gt;<i><i>&lt;b&gt;</i></i>"


@pytest.mark.parametrize("text", ["{{ gone }}", "{{ row.gone }}", "{% if gone %}{% endif %}"])
def test_a_name_that_is_not_given_is_an_error(text):
    with pytest.raises(UndefinedError):
        fill(text, row={})


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("plain", "plain"),
        ("set `a.b` <now>", "set <code>a.b</code> &lt;now&gt;"),
        ("`<x>`", "<code>&lt;x&gt;</code>"),
    ],
)
def test_params_in_prose_are_code(text, found):
    assert fill('{% from "pages/parts.html" import prose %}{{ prose(text) }}', text=text) == found


def test_long_texts_keep_both_ends():
    assert shorten("short") == "short"
    long = "begin/" + "x" * 500 + "/end.png"
    assert len(shorten(long, 40)) == 40
    assert shorten(long, 40).startswith("begin/")
    assert shorten(long, 40).endswith("/end.png")
