"""The Exporter of texts."""

from typing import Any

from pipeline.export.card import USE
from pipeline.export.formats import Written
from pipeline.export.program import Use
from pipeline.ground.seeds import numpy_generator
from pipeline.model.bundle import Bundle
from pipeline.text.export.formats import WRITERS
from pipeline.text.export.usage import program
from pipeline.text.shelf.tokens import PAD
from pipeline.text.show.input import INPUT

_SEED = 1
_MOST_WORDS = 200
"""Of a generated text."""


class TextExporter:
    """Texts behind the protocol `Exporter`."""

    WRITERS = WRITERS

    def takes(self, written: Written, bundle: Bundle) -> dict[str, Any]:
        """Return that a model takes numbers of tokens: the text itself is read before it."""
        return {
            "name": "tokens",
            "dtype": "int64",
            "shape": ["batch", "length"],
            "made_by": written.notes["tokenizer"],
            "filled_up_with": PAD,
            "max_length": bundle.decode.max_tokens,
        }

    def steps(self, written: Written, bundle: Bundle) -> list[dict[str, Any]]:
        """Return what makes tokens, which no file holds, and the network."""
        spec = bundle.decode
        return [
            {"step": "decode", "in": USE, "encoding": "UTF-8"},
            {"step": "clean", "in": USE, "form": "NFC", "max_bytes": spec.row_bytes},
            {
                "step": "tokenize",
                "in": USE,
                "max_tokens": spec.max_tokens,
                **written.notes["tokenizer"],
            },
            {"step": "model", "in": written.file, "weights_of_words": bundle.normalization.mode},
        ]

    def program(self, use: Use, bundle: Bundle) -> str:
        """Return `use.py`."""
        return program(use, bundle)

    def generated(self, count: int) -> list[bytes]:
        """Return texts of words in any order."""
        generator = numpy_generator(_SEED, "export", "texts")
        words = b" ".join(INPUT.samples(3)).split()
        lengths = generator.integers(1, _MOST_WORDS, count)
        return [b" ".join(generator.choice(words, length)) for length in lengths]


EXPORT = TextExporter()
