"""A tokenizer that the package `tokenizers` reads, as programs without Rootstock hold it."""

from pathlib import Path

import tokenizers


class Library:
    """Texts to numbers of tokens.

    Args:
        path: A `tokenizer.json`.
        unknown: What becomes of tokens that are not known: `kept`, `dropped`, or `spread`, one for
            each character.
    """

    def __init__(self, path: Path, unknown: str) -> None:
        self.library = tokenizers.Tokenizer.from_file(str(path))
        self.library.no_truncation()
        self.library.no_padding()
        self.unknown = unknown

    def read(self, text: str, most: int) -> list[int]:
        """Return the numbers of a text's tokens, at most so many."""
        encoded, unknown = self.library.encode(text), self.library.token_to_id("[UNK]")
        found = []
        for number, token in zip(encoded.ids, encoded.tokens, strict=True):
            times = {"kept": 1, "dropped": 0, "spread": len(token)}[self.unknown]
            found += [number] * (times if number == unknown else 1)
        if len(found) <= most or self.unknown == "dropped":
            return found[:most]
        return [*found[: most - 1], found[-1]]
