"""`data`: where the raw files and their labels are."""

from pathlib import Path

from pydantic import Field, field_validator

from pipeline.params import Section


class DataParams(Section):
    """`data`: where the raw files and their labels are."""

    path: str = Field(min_length=1)
    """The folder of raw files, relative to the repository."""

    labels: str = Field(min_length=1)
    """The same folder, to be looked through, or one label file."""

    target: str = Field(min_length=1)
    """The label file's column with the labels."""

    @field_validator("path", "labels")
    @classmethod
    def _stay_inside(cls, value: str) -> str:
        if value.startswith(("/", "~")) or "$" in value or ".." in Path(value).parts:
            raise ValueError(f"must be a path inside the repository, got {value!r}")
        return value
