"""`data`: where the raw files and their labels are."""

from pathlib import Path
from typing import Any

from pydantic import Field, field_validator

from pipeline.ground.params import Section
from pipeline.raw.texts.encoding import check_encoding


class DataParams(Section):
    """`data`: where the raw files and their labels are."""

    path: str = Field(min_length=1)
    """The folder of raw files, relative to the repository."""

    labels: str = Field(min_length=1)
    """The same folder, to be looked through, or one label file."""

    target: str = Field(min_length=1)
    """The label file's column with the labels."""

    text: str | None = Field(min_length=1)
    """The column of tables with the texts, or `.txt`: each text file is an item; None: pictures."""

    encoding: str | None = Field(min_length=1)
    """Of tables of texts, such as cp1252 or gb18030; None: UTF-8, or what their bytes tell."""

    layout: str = Field(pattern=r"^(auto|(any/|split/)*class(/any|/split)*)$")
    """What the folders name, from the top, joined by `/`: class, split or any; auto: found out."""

    def meaning(self) -> dict[str, Any]:
        """Return what `find_items` takes by name: all but the places."""
        return self.model_dump(exclude={"path", "labels"})

    @field_validator("layout")
    @classmethod
    def _have_one_split(cls, value: str) -> str:
        if value.split("/").count("split") > 1:
            raise ValueError(f"must name split once at most, got {value!r}")
        return value

    @field_validator("encoding")
    @classmethod
    def _be_known(cls, value: str | None) -> str | None:
        if value is not None:
            check_encoding(value)
        return value

    @field_validator("path", "labels")
    @classmethod
    def _stay_inside(cls, value: str) -> str:
        if value.startswith(("/", "~")) or "$" in value or ".." in Path(value).parts:
            raise ValueError(f"must be a path inside the repository, got {value!r}")
        return value
