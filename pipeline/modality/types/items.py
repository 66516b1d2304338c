"""How programs hand items to a model at work, and how these become rows."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

from pipeline.ground.limits import ItemLimits
from pipeline.store.shards import Array


class ItemTextError(ValueError):
    """A text that does not stand for an item.

    Args:
        code: One word for programs, such as `base64`.
        detail: What is wrong, as words to follow the name of the text.
    """

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(f"{code}: it {detail}")
        self.code = code
        self.detail = detail


class Encoded(NamedTuple):
    """An item that became a row."""

    row: Array
    notes: tuple[str, ...]
    """What a person should know of it, each as `<code>: <meaning>`."""


class Explanation(NamedTuple):
    """What the server's documents say of explanations."""

    asked: str
    """What `/explain` does."""

    given: str
    """What its answer is."""

    fields: Mapping[str, Any]
    """Schemas of the fields that it adds to a prediction; clients may rely on all of them."""


class Input(Protocol):
    """How programs hand items to a model at work."""

    one: str
    many: str
    """What people call an item, and several."""

    column: str
    """The input column of a registered model, and the key of one item in JSON."""

    key: str
    """The key of several items in JSON."""

    is_text: bool
    """Whether text is an item itself; else it stands for one, as base64 does."""

    written: str
    """What an item is in JSON."""

    inline: str
    """One in JSON, in commands that people copy to a shell, within single quotes."""

    media: str
    """The media type whose subtypes are files of items."""

    fields: Collection[str]
    """Names of text fields of a form that hold an item, besides those of other servers."""

    holders: Sequence[str]
    """Keys of a JSON object that holds an item beside others, the likeliest first."""

    examples: tuple[str, str]
    """File names in commands that people copy."""

    page: str | None
    """The template of the page on which a person tries a model: what it adds to
    `serving/predict.html`."""

    size: str
    """What limits call the most that an item may measure."""

    most: int
    """The most that an item may measure, where nobody says less."""

    seconds: float
    """For reading one item, where nobody says less."""

    facts: Mapping[str, Any]
    """Schemas of what `row_facts` gives."""

    explanation: Explanation

    def limits(self, most: int, seconds: float) -> ItemLimits:
        """Return what an item may take that measures at most so much."""

    def from_text(self, text: str) -> bytes:
        """Return the item that a text stands for.

        Raises:
            ItemTextError: It stands for none.
        """

    def from_bytes(self, content: bytes) -> bytes:
        """Return the item that bytes hold as text; bytes that hold none, as they are."""

    def encode(self, content: Any, spec: Any, *, most: int) -> Encoded | str:
        """Return the row of an item, or `<reason>: <detail>`.

        Args:
            content: Bytes; of anything else the error is returned.
            spec: How it becomes a row.
            most: That it may measure.
        """

    def row_facts(self, spec: Mapping[str, Any]) -> dict[str, Any]:
        """Return what a model's description says of rows, by their spec in a bundle.json."""

    def samples(self, count: int) -> list[bytes]:
        """Return items, the same ones every time."""


def from_cell(item: Input, cell: Any) -> Any:
    """Return the item in a table's cell, which may be text; other things as they are.

    Raises:
        ItemTextError: It is text that stands for no item.
    """
    if isinstance(cell, str):
        return item.from_text(cell)
    if isinstance(cell, bytes | bytearray | memoryview):
        return item.from_bytes(bytes(cell))
    return cell
