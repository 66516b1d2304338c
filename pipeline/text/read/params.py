"""`clean`, for texts."""

from pydantic import Field, field_validator

from pipeline.modality.types.params import CleanParams
from pipeline.text.read.language import LANGUAGES
from pipeline.text.read.limits import MAX_CHARS


class TextCleanParams(CleanParams):
    """`clean`: what is good enough to learn from, and which texts are."""

    min_chars: int = Field(ge=1)
    """Shortest text, in characters; runs of white space count as one."""

    max_chars: int = Field(ge=1, le=MAX_CHARS)
    """Longest text, in characters."""

    mask_digits: bool
    """Two texts that differ in digits alone are the same."""

    language: list[str] | None
    """Languages that are kept, as of `LANGUAGES`, and texts of none that is sure; null: all."""

    near_correlation: float = Field(ge=0.5, lt=1.0)
    """Smallest share of common pieces, of all pieces of two texts, that makes them nearly the same:
    Jaccard."""

    @field_validator("language")
    @classmethod
    def _know_languages(cls, value: list[str] | None) -> list[str] | None:
        if value is not None and (not value or set(value) - set(LANGUAGES)):
            raise ValueError(f"must be null, or some of {', '.join(LANGUAGES)}; got {value}")
        return value
