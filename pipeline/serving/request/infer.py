"""The Open Inference Protocol, version 2: how KServe, Triton, MLServer and their clients speak.

https://github.com/kserve/open-inference-protocol/blob/main/specification/protocol/inference_rest.md

An item is an element of a tensor of type BYTES: base64 or a `data:` URL in JSON, or its own bytes
after the JSON, as the extension for binary data has it. An answer has a tensor for each column of a
row. No tensor can say that one item of several is bad, so one that is refuses the request.
"""

import math
import struct
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pipeline.serving.replicas.batch_queue import Row
from pipeline.serving.replicas.http_errors import malformed, too_many, unprocessable
from pipeline.serving.replicas.replica import Replica
from pipeline.serving.request.shapes import Shapes, parse_json

HEADER_LENGTH = "inference-header-content-length"
"""Header with the length of the JSON, where tensors' bytes follow it."""

_LENGTH = struct.Struct("<I")


@dataclass(frozen=True)
class Infer:
    """An inference request.

    Attributes:
        items: As they were in files.
        id: To be repeated in the answer.
        outputs: Names of the tensors that are asked for; None: all.
    """

    items: list[bytes]
    id: str | None
    outputs: list[str] | None


def read_infer(body: bytes, header_length: str, shapes: Shapes) -> Infer:
    """Read a request.

    Args:
        body: JSON, perhaps with tensors' bytes after it.
        header_length: Length of the JSON in bytes; empty: all is JSON.
        shapes: Reads JSON; knows what an item is, and how many there may be.

    Raises:
        Refusal: It is no such request, or has too many items.
    """
    size = int(header_length) if header_length.isdecimal() else len(body)
    content = parse_json(body[:size])
    inputs = content.get("inputs") if isinstance(content, Mapping) else None
    if not isinstance(inputs, list) or not all(isinstance(each, Mapping) for each in inputs):
        raise unprocessable("infer_form", 'the body must be {"inputs": [{"name": ..., ...}]}')
    names = [each.get("name") for each in inputs]
    at = names.index(shapes.choose_column("inputs", names))
    _refuse_other_types(f"inputs[{at}]", inputs[at], shapes.item.many)
    elements = _elements(f"inputs[{at}]", inputs[at], _binary(inputs, at, body[size:]))
    if len(elements) > shapes.most:
        raise too_many(shapes.item.many, shapes.most, len(elements))
    texts = [(place, each) for place, each in elements if not isinstance(each, bytes)]
    decoded = iter(shapes.read_cells(texts) if texts or not elements else [])
    items = [each if isinstance(each, bytes) else next(decoded) for _, each in elements]
    given = content.get("id")
    return Infer(items, None if given is None else str(given), _wanted(content.get("outputs")))


def _wanted(outputs: Any) -> list[str] | None:
    if not outputs:
        return None
    if not all(isinstance(each, Mapping) and "name" in each for each in outputs):
        raise unprocessable("infer_form", '"outputs" must be [{"name": ...}, ...]')
    return [str(each["name"]) for each in outputs]


def _binary(inputs: Sequence[Mapping[str, Any]], at: int, rest: bytes) -> bytes | None:
    """Return the bytes of a tensor; None where its data are in the JSON."""
    start = 0
    for number, each in enumerate(inputs):
        parameters = each.get("parameters")
        size = parameters.get("binary_data_size") if isinstance(parameters, Mapping) else None
        if number == at:
            if size is None:
                return None
            if not isinstance(size, int) or not 0 <= size <= len(rest) - start:
                raise malformed("infer_form", f"inputs[{at}] has not the bytes that it says")
            return rest[start : start + size]
        start += size if isinstance(size, int) and size > 0 else 0
    return None


def _refuse_other_types(place: str, tensor: Mapping[str, Any], items: str) -> None:
    if (kind := tensor.get("datatype")) != "BYTES":
        raise unprocessable(
            "infer_form", f'{place}.datatype must be "BYTES", of encoded {items}, got {kind!r}'
        )


def _elements(place: str, tensor: Mapping[str, Any], binary: bytes | None) -> list[tuple[str, Any]]:
    shape = tensor.get("shape")
    found = list(_flat(tensor.get("data")) if binary is None else _split(place, binary))
    if not isinstance(shape, list) or not all(_is_size(each) for each in shape):
        raise unprocessable(
            "infer_form", f"{place}.shape must be a list of whole numbers from 0, got {shape!s:.80}"
        )
    if (size := math.prod(shape)) != len(found):
        raise unprocessable(
            "infer_form", f"{place}.shape {shape} is of {size}, and data has {len(found)}"
        )
    return [(f"{place}.data[{number}]", each) for number, each in enumerate(found)]


def _is_size(value: Any) -> bool:
    return isinstance(value, int) and value >= 0


def _flat(data: Any) -> Iterator[Any]:
    """Yield the elements of nested lists, which the protocol allows, in row-major order."""
    if not isinstance(data, list):
        yield data
        return
    for each in data:
        yield from _flat(each)


def _split(place: str, raw: bytes) -> Iterator[bytes]:
    """Yield the elements of a tensor of BYTES: each after 4 bytes with its length."""
    at = 0
    while at < len(raw):
        end = at + _LENGTH.size
        end += _LENGTH.unpack_from(raw, at)[0] if end <= len(raw) else len(raw)
        if end > len(raw):
            raise malformed("infer_form", f"{place}: its bytes are cut off")
        yield raw[at + _LENGTH.size : end]
        at = end


def write_infer(replica: Replica, rows: Sequence[Row], infer: Infer, columns: Sequence[str]) -> Any:
    """Return the answer to a request.

    Args:
        replica: What answered.
        rows: Its answers.
        infer: The request.
        columns: Those that go out.

    Raises:
        Refusal: An item cannot be used, or an output is asked for that there is not.
    """
    for number, row in enumerate(rows):
        if row["error"] is not None:
            code, _, detail = row["error"].partition(": ")
            raise unprocessable(code, f"{replica.input.one} {number}: {detail}")
    unknown = [name for name in infer.outputs or () if name not in columns]
    if unknown:
        raise unprocessable(
            "infer_form", f"there is no output {unknown[0][:80]!r}, but {', '.join(columns)}"
        )
    return {
        "model_name": replica.identity.model,
        "model_version": replica.identity.version,
        **({} if infer.id is None else {"id": infer.id}),
        "outputs": [
            {**tensor, "shape": [len(rows)], "data": [row[tensor["name"]] for row in rows]}
            for tensor in _tensors(infer.outputs or columns)
        ],
    }


def describe_model(replica: Replica, columns: Sequence[str]) -> dict[str, Any]:
    """Return the metadata of the version, which answers with some columns."""
    return {
        "name": replica.identity.model,
        "versions": [replica.identity.version],
        "platform": "rootstock",
        "inputs": [{"name": replica.input.column, "datatype": "BYTES", "shape": [-1]}],
        "outputs": [{**each, "shape": [-1]} for each in _tensors(columns)],
    }


def _tensors(columns: Sequence[str]) -> list[dict[str, Any]]:
    return [{"name": name, "datatype": "BYTES" if name == "label" else "FP64"} for name in columns]
