"""Words that people and programs write where a value is not known."""

_WORDS = frozenset(
    "nan none null nil n/a na #n/a <na> nat unknown unk missing undefined ? ?? - -- --- . .."
    " unspecified not-available not-known no-value (blank) (empty) (null) [null] \\n"
    " #ref! #value! #name? #div/0!".split()
)


def is_placeholder(text: str) -> bool:
    """Return whether a cell stands for "not known"; the case and outer blanks do not count."""
    return "-".join(text.lower().split()) in _WORDS
