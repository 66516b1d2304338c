"""Which files hold texts: none by their names or bytes, since `data.text` says it."""


class TextFiles:
    """Texts behind the protocol `Files`."""

    NOUN = ("text", "texts")
    WORDS = ("text", "sentence", "review", "message", "comment")
    SUFFIXES = ()
    UNREAD_SUFFIXES = ()

    def format(self, head: bytes) -> str | None:
        """Return None: a read-me beside pictures is text too, and no item."""
        return None

    def unread_format(self, head: bytes) -> str | None:
        """Return None: there is no other form."""
        return None

    def hidden_format(self, head: bytes) -> str | None:
        """Return None: nothing holds one."""
        return None


FILES = TextFiles()
