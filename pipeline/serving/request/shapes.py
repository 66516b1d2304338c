"""The shapes of JSON in which clients send items: a table, and how each is read.

They are those of this server, of MLflow, TensorFlow Serving, KServe, SageMaker and Vertex AI. An
item is text (which may stand for it, as base64 and `data:` URLs do), or an object that holds such
text. In an object, `b64` is base64 of an item of any kind.
"""

import base64
import binascii
import json
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

from pipeline.modality.types.items import Input, ItemTextError
from pipeline.serving.replicas.http_errors import malformed, too_many, unprocessable

Cells: TypeAlias = list[tuple[str, Any]]
"""Where each item stands in the body, and what stands there."""

_MOST_NESTED = 4
_B64 = "b64"
"""The key of TensorFlow Serving's objects that hold bytes."""
_IDLE: Mapping[str, tuple[Any, ...]] = {
    "params": (None, {}),
    "parameters": (None, {}),
    "signature_name": ("serving_default",),
}
"""Keys that other servers take, and their values that ask for nothing: the model has no params."""


class Shapes:
    """Reads items out of JSON.

    Args:
        item: How an item is handed over.
        most: Items that there may be.
    """

    def __init__(self, item: Input, most: int) -> None:
        self.item = item
        self.most = most
        self._shapes: Mapping[str, Callable[[str, Any], Cells]] = {
            item.key: _listed,
            item.column: _one,
            "instances": _listed,
            "inputs": self._columns,
            "dataframe_split": self._split,
            "dataframe_records": _listed,
        }

    def read_json(self, body: bytes) -> tuple[list[bytes], bool]:
        """Return the items in a JSON body, and whether they are a list, of one or more.

        Args:
            body: JSON in UTF-8, UTF-16 or UTF-32.

        Raises:
            Refusal: It is no JSON, has another shape, or too many items.
        """
        cells, is_list = self._find_cells(parse_json(body))
        return self.read_cells(cells), is_list

    def read_cells(self, cells: Cells) -> list[bytes]:
        """Return the items that stand in some places.

        Raises:
            Refusal: There are none or too many, or one is no text that stands for bytes.
        """
        if len(cells) > self.most:
            raise too_many(self.item.many, self.most, len(cells))
        if not cells:
            raise unprocessable("json_form", f"the list of {self.item.many} must not be empty")
        return [self._read_cell(place, value) for place, value in cells]

    def _read_cell(self, place: str, value: Any) -> bytes:
        for _ in range(_MOST_NESTED):
            if isinstance(value, str):
                return self.read_text(place, value)
            if isinstance(value, Mapping) and value:
                key = self._holder(place, value)
                place, value = f"{place}.{key}", value[key]
                if key == _B64 and self.item.is_text and isinstance(value, str):
                    return self.item.from_bytes(_decoded(place, value))
            elif isinstance(value, list) and len(value) == 1:
                place, value = f"{place}[0]", value[0]
            else:
                break
        detail = f"{place} must be text, got {_noun(value)}"
        if isinstance(value, list) and value and not self.item.is_text:
            detail += " (send the file itself in base64, no lists of its bytes or values)"
        raise unprocessable("not_text" if self.item.is_text else "base64", detail)

    def read_text(self, place: str, text: str) -> bytes:
        """Return the item that a text stands for.

        Raises:
            Refusal: It stands for none; its place is named.
        """
        try:
            return self.item.from_text(text)
        except ItemTextError as error:
            raise unprocessable(error.code, f"{place} {error.detail}") from None

    def _holder(self, place: str, value: Mapping[str, Any]) -> str:
        if len(value) == 1:
            return next(iter(value))
        found = next((key for key in self.item.holders if key in value), None)
        if found is None:
            raise unprocessable(
                "json_form",
                f'{place} must have a key "{self.item.column}" or "{_B64}", got {_names(value)}',
            )
        return found

    def _find_cells(self, content: Any) -> tuple[Cells, bool]:
        if isinstance(content, str):
            return [("the text", content)], False
        if isinstance(content, list):
            return _listed("", content), True
        item = self.item
        keys = [key for key in self._shapes if isinstance(content, Mapping) and key in content]
        if (
            not keys
            and isinstance(content, Mapping)
            and any(key in content for key in item.holders)
        ):
            return [("the body", content)], False
        if not keys:
            raise unprocessable(
                "json_form",
                f'the body must be {{"{item.key}": ["<{"text" if item.is_text else "base64"}>", '
                "...]}, or have one of the keys "
                + ", ".join(f'"{key}"' for key in self._shapes if key != item.key),
            )
        _refuse_others(content, keys[0])
        return self._shapes[keys[0]](keys[0], content[keys[0]]), keys[0] != item.column

    def _columns(self, place: str, value: Any) -> Cells:
        """Read a table by its columns, `{"<column>": [...]}`, or a plain list."""
        if not isinstance(value, Mapping):
            return _listed(place, value)
        name = self.choose_column(place, list(value))
        return _listed(f"{place}.{name}", value[name])

    def _split(self, place: str, value: Any) -> Cells:
        """Read a table as pandas writes it with `orient="split"`."""
        if not isinstance(value, Mapping) or not isinstance(value.get("data"), list):
            raise unprocessable("json_form", f'"{place}" must have a list "data", and "columns"')
        columns = value.get("columns", [self.item.column])
        if not isinstance(columns, list):
            raise unprocessable("json_form", f'"{place}.columns" must be a list')
        at = columns.index(self.choose_column(place, columns))
        rows = value["data"]
        if not all(isinstance(row, list) and len(row) == len(columns) for row in rows):
            raise unprocessable("json_form", f'"{place}.data" must be rows of {len(columns)} cells')
        return [(f"{place}.data[{number}][{at}]", row[at]) for number, row in enumerate(rows)]

    def choose_column(self, place: str, names: list[Any]) -> Any:
        """Return the column that holds the items: by its name, or the only one.

        Raises:
            Refusal: There is neither.
        """
        own = self.item.column
        if own in names or len(names) == 1:
            return own if own in names else names[0]
        raise unprocessable("json_form", f'{place} must have a column "{own}", got {_names(names)}')


def _decoded(place: str, text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except binascii.Error as error:
        raise unprocessable("base64", f"{place} is no base64: {error}") from None


def parse_json(body: bytes) -> Any:
    """Return what a JSON text says.

    Raises:
        Refusal: It is none.
    """
    try:
        return json.loads(body)
    except (ValueError, RecursionError) as error:
        raise malformed("json", f"the body is not JSON{_where(body, error)}") from None


def _where(body: bytes, error: Exception) -> str:
    if body.startswith(b"--"):
        return ", but a form (do not set Content-Type: your client writes it)"
    return f": {error}" if isinstance(error, json.JSONDecodeError) else ""


def _refuse_others(content: Mapping[str, Any], key: str) -> None:
    for other, value in content.items():
        if other == key or value in _IDLE.get(other, ()):
            continue
        if other in _IDLE:
            raise unprocessable("json_form", f'the model takes no {other}, leave "{other}" out')
        raise unprocessable("json_form", f'the only key is "{key}", got {other[:80]!r} too')


def _one(place: str, value: Any) -> Cells:
    return [(place, value)]


def _listed(place: str, value: Any) -> Cells:
    if isinstance(value, str | Mapping):
        return [(place, value)]
    if not isinstance(value, list):
        raise unprocessable("json_form", f'"{place}" must be a list, got {_noun(value)}')
    return [(f"{place}[{number}]", each) for number, each in enumerate(value)]


def _names(names: Any) -> str:
    return ", ".join(repr(str(name)[:40]) for name in list(names)[:5]) or "none"


def _noun(value: Any) -> str:
    kinds = {bool: "true or false", int: "a number", float: "a number", type(None): "null"}
    return kinds.get(type(value), "a list" if isinstance(value, list) else "an object")
