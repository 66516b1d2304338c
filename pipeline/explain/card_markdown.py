"""The model card as Markdown, beside the plots that it names."""

from collections.abc import Sequence
from pathlib import Path

from pipeline.explain.card import Block, Card, Chart, Gallery, Table, Words
from pipeline.raw.visible import visible


def card_markdown(card: Card, folder: Path) -> str:
    """Return the card; pictures are named relative to a folder."""
    lines = [f"# Model card: {_plain(card.title)}", "", _plain(card.lead), ""]
    for warning in card.warnings:
        lines += [f"> **Warning:** {_plain(warning)}", ""]
    for part in card.parts:
        lines += [f"## {_plain(part.title)}", ""]
        for block in part.blocks:
            lines += [*_block(block, folder), ""]
    return "\n".join(lines).rstrip() + "\n"


def _block(block: Block, folder: Path) -> list[str]:
    if isinstance(block, Words):
        return _words(block)
    if isinstance(block, Table):
        rule = "|".join(["---", *(["---:" if block.numeric else "---"] * (len(block.head) - 1))])
        return [_row(block.head), f"|{rule}|", *map(_row, block.rows)]
    if isinstance(block, Chart):
        return [f"![{block.told}]({block.file.relative_to(folder).as_posix()})"]
    return _gallery(block, folder)


def _words(block: Words) -> list[str]:
    """Return paragraphs with a line between them; items of a list stand together."""
    lines: list[str] = []
    for text in block.paragraphs:
        if lines and not (text.startswith("- ") and lines[-1].startswith("- ")):
            lines.append("")
        lines.append(f"- {_plain(text[2:])}" if text.startswith("- ") else _plain(text))
    return lines


def _gallery(block: Gallery, folder: Path) -> list[str]:
    return [
        f"![{_plain(sheet.title)}]({file.relative_to(folder).as_posix()})"
        for sheet, file in zip(block.sheets, block.files, strict=True)
    ]


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(map(_plain, cells))} |"


def _plain(text: str) -> str:
    """Return text that is one line and shows as it is, whatever a class is called."""
    escaped = "".join(f"\\{char}" if char in "\\`*_[]<>|#" else char for char in visible(text))
    return escaped.strip()
