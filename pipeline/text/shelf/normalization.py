"""What a network is fed with instead of rows: nothing is scaled, and tokens may weigh less."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from pipeline.ground.errors import IntegrityError, ParamsError
from pipeline.ground.files import read_json


@dataclass(frozen=True)
class TextNormalization:
    """How much each token counts in the mean of a text.

    Attributes:
        mode: As in `normalize.mode`.
    """

    mode: str

    def __post_init__(self) -> None:
        if self.mode not in ("none", "sif"):
            raise ValueError(f"mode must be none or sif, got {self.mode!r}")

    def require(self, *modes: str, architecture: str) -> None:
        """Check that an architecture has this mode.

        Raises:
            ParamsError: It has others.
        """
        if self.mode not in modes:
            raise ParamsError(
                "params.yaml",
                f"must be {' or '.join(modes)} for {architecture}",
                field="text.normalize.mode",
                got=self.mode,
            )

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, record: Mapping[str, Any]) -> "TextNormalization":
        """Read what `to_dict` gave; further keys are passed over.

        Raises:
            KeyError, ValueError: It is something else.
        """
        return cls(record["mode"])

    @classmethod
    def load(cls, path: Path) -> "TextNormalization":
        """Read a `normalization.json`.

        Raises:
            DataError: The file is missing.
            IntegrityError: It is none.
        """
        try:
            return cls.from_dict(read_json(path))
        except (KeyError, TypeError, ValueError) as error:
            raise IntegrityError(path, f"is no normalization: {error}") from error
