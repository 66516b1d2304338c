"""Names from outside, as people may see them: a file name can hold escapes and mirrored text."""


def visible(text: str) -> str:
    """Give a text in one line without any character that acts instead of showing.

    Control and formatting characters (a terminal's escapes, right-to-left marks), line breaks and
    bytes that are not UTF-8 are written as in Python source; all else stays.
    """
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else _escape(char) for char in text)


def _escape(char: str) -> str:
    return char.encode("unicode_escape").decode("ascii")
