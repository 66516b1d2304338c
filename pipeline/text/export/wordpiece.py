"""The tokenizer of BERT in plain Python, as programs without Rootstock hold it."""

import json
import re
import unicodedata
from pathlib import Path


class WordPiece:
    """Texts to numbers of pieces: of each word, the longest piece that is known comes first.

    Source: Devlin et al. (2018), Wu et al. (2016).

    Args:
        path: A JSON file of the pieces, and of which characters count as what.
    """

    def __init__(self, path: Path) -> None:
        made = json.loads(path.read_text(encoding="utf-8"))
        self.numbers, self.marks, self.unknown = made["numbers"], made["marks"], made["unknown"]
        self.begin, self.end, self.prefix = made["begin"], made["end"], made["prefix"]
        self.longest, self.lowers, self.strips = made["longest"], made["lower"], made["strip"]
        self.mark = re.compile("|".join(map(re.escape, self.marks)) or "(?!)")
        kinds = ("dropped", "accents", "ideographs", "apart")
        self.dropped, self.accents, self.ideographs, self.apart = (
            re.compile(f"[{made[kind]}]" if made[kind] else "(?!)") for kind in kinds
        )

    def read(self, text: str, most: int) -> list[int]:
        """Return the numbers of a text's pieces between the marks, at most so many."""
        found, at = list(self.begin), 0
        for mark in self.mark.finditer(text):
            found += self.pieces(text[at : mark.start()])
            found.append(self.marks[mark[0]])
            at = mark.end()
        found += [*self.pieces(text[at:]), *self.end]
        return found if len(found) <= most else [*found[: most - 1], found[-1]]

    def pieces(self, text: str) -> list[int]:
        """Return the numbers of the pieces of a text without marks."""
        text = self.ideographs.sub(r" \g<0> ", self.dropped.sub("", text))
        if self.strips:
            text = self.accents.sub("", unicodedata.normalize("NFD", text))
        if self.lowers:
            text = "".join(char.lower() for char in text)
        words = self.apart.sub(r" \g<0> ", text).split()
        return [number for word in words for number in self.parted(word)]

    def parted(self, word: str) -> list[int]:
        """Return the numbers of the pieces of a word; of one that cannot be parted, that alone."""
        found: list[int] = []
        at = 0 if len(word) <= self.longest else len(word) + 1
        while at < len(word):
            prefix = self.prefix if at else ""
            ends = (
                end for end in range(len(word), at, -1) if prefix + word[at:end] in self.numbers
            )
            end = next(ends, None)
            if end is None:
                return [self.unknown]
            found.append(self.numbers[prefix + word[at:end]])
            at = end
        return found if at == len(word) else [self.unknown]
