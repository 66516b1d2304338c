"""What `clean` writes of each list of numbers."""

from collections.abc import Mapping


class NumberFacts:
    """Lists of numbers behind the protocol `Facts`."""

    columns: Mapping[str, type] = {"length": int}
    content_hash = "numbers_hash"
    sketch = "numbers"
    reasons: Mapping[str, str] = {
        "not_numbers": "the file holds something other than numbers",
        "too_short": "the list is shorter than `clean.min_length`",
    }


FACTS = NumberFacts()
