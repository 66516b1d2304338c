"""Names from outside, as people and their programs may see them.

A file name can hold a terminal's escapes, mirrored text, or what a spreadsheet takes for a formula.
"""

_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def visible(text: str) -> str:
    """Return a text in one line without any character that acts instead of showing.

    Control and formatting characters (a terminal's escapes, right-to-left marks), line breaks and
    bytes that are not UTF-8 are written as in Python source; all else stays.
    """
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else _escape(char) for char in text)


def safe_cell(text: object) -> str:
    """Return a cell that no spreadsheet takes for a formula: such a one gets a `'` before it."""
    cell = str(text)
    return f"'{cell}" if cell.startswith(_FORMULA) else cell


def safe_line(text: str) -> str:
    """Return a cell that is one line, without marks that act, and that is no formula."""
    return safe_cell(visible(text))


def _escape(char: str) -> str:
    return char.encode("unicode_escape").decode("ascii")
