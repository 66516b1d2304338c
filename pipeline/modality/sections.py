"""Find the sections of params.yaml whose keys depend on the modality; nothing heavy is imported."""

from collections.abc import Mapping, Sequence
from typing import Any

from pipeline.modality import table
from pipeline.modality.parts import part
from pipeline.modality.types.params import ExplainParams

PART = "params"
"""The module of every modality that holds them; tests read this too, for the imports of stages."""


def sections(modality: str) -> dict[str, type[Any]]:
    """Return the classes of a modality of `MODALITIES`, by section."""
    found: dict[str, type[Any]] = part(modality, PART, "SECTIONS")
    return found


def explain_params(modality: str) -> type[ExplainParams]:
    """Return the class of the section `explain` for items of a modality."""
    found: type[ExplainParams] = sections(modality).get("explain", ExplainParams)
    return found


def candidates(modality: str) -> Mapping[str, Sequence[Any]]:
    """Return the params, by `section.key`, that may be `auto`, and the values that are tried.

    The first value is the reference: another one is chosen only where it is clearly better.
    """
    found: Mapping[str, Sequence[Any]] = part(modality, PART, "CANDIDATES")
    return found


def modality_meant(raw: Mapping[str, Any]) -> str:
    """Return the modality that params.yaml is written for.

    It is the one that a key of `data` is called as and has a value, else the one whose keys the
    sections have most of.
    """
    data = raw.get("data")
    for modality in table.MODALITIES:
        if isinstance(data, dict) and data.get(modality) is not None:
            return modality

    def known(modality: str) -> int:
        return sum(
            len(set(raw[name]) & set(kind.model_fields))
            for name, kind in sections(modality).items()
            if isinstance(raw.get(name), dict)
        )

    return max(table.MODALITIES, key=known)
