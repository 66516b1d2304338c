"""Which files are lists of numbers: `.vec`, text that begins with a number and a comma."""

import re

_HEAD = re.compile(rb"\s*-?\d+(\.\d*)?\s*,")


class NumberFiles:
    """Lists of numbers behind the protocol `Files`."""

    NOUN = ("list", "lists")
    WORDS = ("vector", "numbers")
    SUFFIXES = (".vec",)
    UNREAD_SUFFIXES = ()

    def format(self, head: bytes) -> str | None:
        """Return `VEC` for text that begins with a number and a comma."""
        return "VEC" if _HEAD.match(head) else None

    def unread_format(self, head: bytes) -> str | None:
        """Return None: there is no other form."""
        return None

    def hidden_format(self, head: bytes) -> str | None:
        """Return None: nothing holds one."""
        return None


FILES = NumberFiles()
