"""A page with every subcommand of `rootstock`, its arguments and options."""

import argparse
from collections.abc import Iterator

from pipeline.cli import command_line

_HEAD = """# Commands

Every subcommand of `rootstock`, from the code that reads the command line. The
[exit codes](../docs/troubleshooting.md) are the same for all.
"""


def commands_page() -> str:
    """Return the page in Markdown."""
    return _HEAD + "".join(_command(parser, text) for parser, text in subcommands(command_line()))


def subcommands(parser: argparse.ArgumentParser) -> Iterator[tuple[argparse.ArgumentParser, str]]:
    """Yield every parser of a command at any depth, and what it does."""
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            texts = {each.dest: each.help or "" for each in action._choices_actions}
            for name, command in action.choices.items():
                yield command, texts[name]
                yield from subcommands(command)


def _command(parser: argparse.ArgumentParser, text: str) -> str:
    formatter = argparse.HelpFormatter(parser.prog, width=100)
    usage = parser.format_usage().removeprefix("usage: ").strip()
    page = f"\n## {parser.prog}\n\n{text[:1].upper() + text[1:]}.\n\n```\n{usage}\n```\n"
    rows = [
        f"| {_names(action)} | {formatter._expand_help(action) if action.help else ''} |\n"
        for action in parser._actions
        if not isinstance(action, argparse._HelpAction | argparse._SubParsersAction)
    ]
    return page + ("\n| | |\n|---|---|\n" + "".join(rows) if rows else "")


def _names(action: argparse.Action) -> str:
    value = action.metavar or (
        "|".join(map(str, action.choices)) if action.choices else action.dest.upper()
    )
    if not action.option_strings:
        return f"`{value}`"
    takes = f" {value}" if action.nargs != 0 else ""
    return ", ".join(f"`{each}{takes}`" for each in action.option_strings).replace("|", "\\|")
