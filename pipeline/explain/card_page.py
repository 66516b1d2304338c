"""The model card as one page: nothing in it is loaded from anywhere, and it runs no script."""

import base64
from collections.abc import Sequence

from pipeline.clean.page.charts import shorten
from pipeline.clean.page.markup import Html, document, style_sheet, tag
from pipeline.clean.page.style import CSS
from pipeline.explain.card import Block, Card, Chart, Gallery, Table, Words
from pipeline.explain.sheets import Example, Sheet, legend_strip
from pipeline.picture.read.spec import Pixels
from pipeline.picture.show.preview import encode_jpeg, shrink

_POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
_SIDE_PX = 176
_MAX_BYTES = 12_000
_PAIRS = 4
"""Of each part of a sheet; the sheets hold more."""

_SHEETS = 6

_OWN = """\
.chart { background: #fff; border-radius: 8px; padding: 0.5rem; margin-top: 0.9rem;
  max-width: 40rem; }
.chart img { display: block; width: 100%; height: auto; }
.card td { max-width: 34rem; }
.card + .card, .card + .words, .words + .card { margin-top: 0.9rem; }
.shown { display: grid; grid-template-columns: repeat(auto-fill, minmax(13.5rem, 1fr));
  gap: 0.8rem; margin-top: 0.6rem; }
.shown .shot { border-radius: 6px; }
.pair .told { margin: 0.4rem 0 0; }
.heat { display: flex; align-items: center; gap: 0.6rem; font-size: 0.84rem; margin: 0.6rem 0 0; }
.heat img { width: 9rem; height: 0.7rem; border-radius: 4px; }
.words > :last-child { margin-bottom: 0; }
.words + .words { margin-top: 0.75rem; }
.words ul { margin: 0 0 0.75rem; padding-left: 1.15rem; max-width: 46rem; }
"""


def card_page(card: Card) -> str:
    """Return the page as HTML."""
    tiles = [
        tag("div", tag("b", value), tag("span", told), class_="tile") for value, told in card.tiles
    ]
    body = [
        tag("h1", "Model card: ", tag("span", card.title)),
        tag("p", card.lead, class_="lead"),
        tag("div", *tiles, class_="tiles"),
        _warnings(card.warnings),
        *(tag("section", tag("h2", part.title), *map(_block, part.blocks)) for part in card.parts),
        tag(
            "footer",
            "Written by the stage ",
            tag("code", "explain"),
            "; the numbers are in ",
            tag("code", "report.json"),
            " beside this page, more examples and curves in ",
            tag("code", "plots/"),
            ". Equal results give an equal page.",
        ),
    ]
    head = tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("meta", http_equiv="Content-Security-Policy", content=_POLICY),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("meta", name="color-scheme", content="light dark"),
        tag("title", f"Model card: {card.title}"),
        style_sheet(CSS + _OWN),
    )
    return document("en", head, tag("body", tag("main", *body)))


def _warnings(warnings: Sequence[str]) -> Html | None:
    listed = list(warnings)
    if not listed:
        return None
    title = "One warning" if len(listed) == 1 else f"{len(listed)} warnings"
    items = [tag("li", text) for text in listed]
    return tag("section", tag("h2", title), tag("ul", *items), class_="warnings")


def _block(block: Block) -> Html:
    if isinstance(block, Words):
        return _words(block)
    if isinstance(block, Table):
        return _table(block)
    if isinstance(block, Chart):
        picture = tag("img", src=_data("png", block.file.read_bytes()), alt=block.told)
        return tag("div", picture, class_="chart")
    return _gallery(block)


def _words(block: Words) -> Html:
    parts: list[Html] = []
    items: list[Html] = []
    for text in [*block.paragraphs, ""]:
        if text.startswith("- "):
            items.append(tag("li", text[2:]))
            continue
        if items:
            parts.append(tag("ul", *items))
            items = []
        if text:
            parts.append(tag("p", text, class_="soft" if block.soft else None))
    return tag("div", *parts, class_="words")


def _table(block: Table) -> Html:
    kinds = [None, *(["n" if block.numeric else None] * (len(block.head) - 1))]
    rows = [
        tag(
            "tr",
            *(
                tag("td", shorten(cell, 90), class_=kind)
                for cell, kind in zip(row, kinds, strict=True)
            ),
        )
        for row in block.rows
    ]
    if any(block.head):
        head = zip(block.head, kinds, strict=True)
        rows.insert(0, tag("tr", *(tag("th", cell, class_=kind) for cell, kind in head)))
    return tag("div", tag("table", *rows), class_="scroll card")


def _gallery(block: Gallery) -> Html:
    strip = tag("img", src=_data("jpeg", encode_jpeg(legend_strip(), _MAX_BYTES)), alt="legend")
    told = "from little to much of what spoke for the answer that the model gave"
    legend = tag("div", strip, tag("span", told, class_="soft"), class_="heat")
    shown = block.sheets[:_SHEETS]
    more = len(block.sheets) - len(shown)
    rest = tag("p", f"{more} more in plots/", class_="more") if more else None
    return tag("div", legend, *(part for sheet in shown for part in _sheet(sheet)), rest)


def _sheet(sheet: Sheet) -> list[Html]:
    parts: list[Html] = []
    for part in sheet.parts:
        if part.examples:
            shown = part.some(_PAIRS)
            name = f"{sheet.title.split(':')[0]}, {shown.title()}"
            pairs = [_pair(each) for each in shown.examples]
            parts += [tag("h3", name), tag("div", *pairs, class_="shown")]
    return parts


def _pair(example: Example) -> Html:
    shots = [
        tag("div", tag("img", src=_jpeg(pixels), alt=f"{example.name}, {what}"), class_="shot")
        for pixels, what in ((example.picture, "as it is"), (example.hot, "with heat"))
    ]
    told = tag(
        "p", example.name, tag("br"), tag("span", example.told, class_="soft"), class_="told"
    )
    return tag("div", tag("div", *shots, class_="side"), told, class_="pair")


def _jpeg(pixels: Pixels) -> str:
    return _data("jpeg", encode_jpeg(shrink(pixels, _SIDE_PX), _MAX_BYTES))


def _data(kind: str, content: bytes) -> str:
    return f"data:image/{kind};base64,{base64.b64encode(content).decode('ascii')}"
