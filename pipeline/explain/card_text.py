"""What people write about a model and its data: explain/card.md, read for the model card.

    For: data/elpv/raw

    ## Intended use
    One or more paragraphs, or `- ` items.

The first line names the data that the text is about. For other data the text is not used: a license
or a use must not pass from one data set to another by itself. What is not written is not stated.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from pipeline.ground.errors import ParamsError

SECTIONS = ("Intended use", "Out of scope", "Limits", "Data license", "Contacts")
"""What a card tells of people's own words; other headings are refused, so that none is lost."""

_FOR = "For:"


@dataclass(frozen=True)
class CardText:
    """The paragraphs of each section that has any; a paragraph that starts with `- ` is an item."""

    sections: Mapping[str, tuple[str, ...]]
    note: str | None = None
    """Why it is not used; None where it is."""


def read_card_text(path: Path, data_path: str) -> CardText:
    """Read what people wrote, if it is about this data.

    Args:
        path: Markdown, UTF-8; comments `<!-- -->` are left out.
        data_path: `data.path`.

    Raises:
        ParamsError: The file is missing, has no first line with `For:`, or an unknown heading.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError as error:
        raise ParamsError(path, "no such file", remedy=f"run `git checkout {path}`") from error
    except UnicodeDecodeError as error:
        raise ParamsError(path, "must be UTF-8") from error
    head, *parts = re.split(r"^##[ \t]+", re.sub(r"<!--.*?-->", "", text, flags=re.S), flags=re.M)
    subject = next((line.strip() for line in head.splitlines() if line.strip()), "")
    if not subject.startswith(_FOR):
        raise ParamsError(
            path,
            f"must begin with `{_FOR} <data.path>`, the data that it is about",
            got=subject,
            remedy=f"write `{_FOR} {data_path}`",
        )
    sections = {}
    for part in parts:
        title, _, body = part.partition("\n")
        if title.strip() not in SECTIONS:
            raise ParamsError(
                path, f"its headings must be among {', '.join(SECTIONS)}", got=title.strip()
            )
        sections[title.strip()] = _paragraphs(body)
    about = subject.removeprefix(_FOR).strip()
    if about != data_path:
        note = f"{path} is about {about}, and the data are {data_path}: it is not used"
        return CardText({}, note)
    return CardText({name: found for name, found in sections.items() if found})


def _paragraphs(body: str) -> tuple[str, ...]:
    """Join the lines of each paragraph; an item starts a new one."""
    found: list[str] = []
    is_open = False
    for line in map(str.strip, body.splitlines()):
        if not line:
            is_open = False
        elif is_open and not line.startswith("- "):
            found[-1] += f" {line}"
        else:
            found.append(line)
            is_open = True
    return tuple(found)
