"""The tensors of a backbone out of a file of any form that its modality knows."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from pipeline.modality.nets import Net
from pipeline.weights.files import check_file, read_state_dict
from pipeline.weights.matching import match_tensors, rename_in_order
from pipeline.weights.params import WeightsParams
from pipeline.weights.sources import WeightsFile


@dataclass(frozen=True)
class Read:
    """What was read.

    Attributes:
        tensors: Under the names of the backbone, without counters.
        meta: Our own metadata, if the file has any.
    """

    tensors: dict[str, Tensor]
    meta: Mapping[str, Any]


def check_weights_file(file: WeightsFile, params: WeightsParams, net: Net) -> str:
    """Check that a file can hold weights and is the expected one; return its SHA-256.

    Raises:
        DataError: It is missing, or something else.
        IntegrityError: It is empty, or has another SHA-256.
    """
    is_own = net.form(file.path, params.architecture) is not None
    return check_file(file.path, params.sha256, has_form=is_own)


def read_weights_file(file: WeightsFile, params: WeightsParams, net: Net) -> Read:
    """Read a file that was checked, and match its tensors with the architecture.

    Raises:
        DataError: It is unsafe, of another architecture, or not finite.
        IntegrityError: It is damaged.
    """
    architecture = params.architecture
    read = net.form(file.path, architecture)
    tensors, meta = read_state_dict(file.path, params.key) if read is None else (read(), {})
    if file.in_order:
        tensors = rename_in_order(tensors, architecture, net, where=file.path)
    matched = match_tensors(tensors, architecture, net, where=file.path)
    beside = net.beside(file.path, tensors, architecture)
    return Read({**matched, **beside}, meta)
