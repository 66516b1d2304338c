"""The words of vectors in plain Python, as programs without Rootstock hold them."""

import json
import re
from pathlib import Path


class Words:
    """Texts to numbers of words, without those that have no vector.

    Args:
        path: A JSON file of the words, and of what a word is.
    """

    def __init__(self, path: Path) -> None:
        made = json.loads(path.read_text(encoding="utf-8"))
        self.numbers, self.replaced, self.lowers = made["numbers"], made["replaced"], made["lower"]
        self.pattern = re.compile(made["pattern"])

    def read(self, text: str, most: int) -> list[int]:
        """Return the numbers of the words that are known; of the first ones, at most so many."""
        for old, new in self.replaced.items():
            text = text.replace(old, new)
        if self.lowers:
            text = "".join(char.lower() for char in text)
        words = (found[0] for found in self.pattern.finditer(text))
        return [self.numbers[word] for word in words if word in self.numbers][:most]
