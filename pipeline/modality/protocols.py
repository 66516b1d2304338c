"""What a modality offers: a Reader, a Shelf, a Net and a Show.

Reader: bytes to what is known of an item. Shelf: bytes to rows of the store. Net: rows to features.
Show: items for people and for programs. Each part is found by `reading`, `shelving`, `nets` and
`showing`, so that a stage reads the code of the parts that it uses and no other.
"""

from typing import Protocol


class Reader(Protocol):
    """Bytes to what is known of an item."""


class Shelf(Protocol):
    """Bytes to rows of the store."""


class Net(Protocol):
    """Rows to features."""


class Show(Protocol):
    """Items for people, and for programs that ask a served model."""
