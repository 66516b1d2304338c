"""One look at one list of numbers."""

import hashlib
from dataclasses import dataclass
from typing import Any

from pipeline.numbers.read.parse import LIMITS, parse

from pipeline.ground.limits import ItemLimits
from pipeline.modality.types.probe import Probe


@dataclass(frozen=True)
class NumberLook:
    """How files are looked at."""

    @property
    def limits(self) -> ItemLimits:
        """Return what one file may take."""
        return LIMITS

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        return {}

    def probe(self, content: bytes, path: str) -> Probe:
        """Read a file in full."""
        del path
        try:
            values = parse(content)
        except ValueError as error:
            return Probe(reason="not_numbers", detail=str(error))
        digest = hashlib.sha256(values.tobytes()).hexdigest()
        return Probe(facts=(len(values),), content_hash=digest, sketch=values[:1].tobytes())

    def named(self, probe: Probe, path: str) -> Probe:
        """Return the same probe: a name says nothing."""
        del path
        return probe
