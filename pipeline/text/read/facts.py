"""What `clean` writes of each text, beside what it writes of any item."""

from collections.abc import Mapping


class TextFacts:
    """Texts behind the protocol `Facts`."""

    columns: Mapping[str, type] = {"chars": int, "words": int, "language": str}
    content_hash = "text_hash"
    sketch = "shingles"
    reasons: Mapping[str, str] = {
        "empty": "there is no character, or white space alone",
        "unprintable": "there is no character that can be seen",
        "not_utf8": "the bytes are no UTF-8, or none of the encoding of the table",
        "too_short": "the text has fewer characters than `clean.min_chars`",
        "too_long": "the text has more characters than `clean.max_chars`",
        "other_language": "the text is surely of a language that `clean.language` does not name",
        "too_large": "there are more bytes than are read of any text",
        "truncated": "the archive ends within the text",
        "damaged": "the container of the text is damaged",
        "decoder_crashed": "the reading took more memory than any text may need",
        "decoder_hung": "the reading did not come to an end in a time that suffices for any text",
        "conflict": "the same item, or the same words, stands with different labels",
        "duplicate": "the same words with the same label stand at another path, which is kept",
        "near_duplicate_of": "nearly the same text stands in a more protected split",
    }


FACTS = TextFacts()
