"""What a label may be, and what follows from it for the loss and for the columns of answers."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from pipeline.ground.params import Task


@dataclass(frozen=True)
class Kind:
    """What all trainings of a task have in common."""

    label: Literal["class", "value"]
    loss: Literal["cross_entropy", "mse"]
    outputs: Literal["probabilities", "values"]


KINDS: Mapping[Task, Kind] = {
    "classification": Kind("class", "cross_entropy", "probabilities"),
    "regression": Kind("value", "mse", "values"),
}


def number_columns(classes: Sequence[str]) -> list[str]:
    """Return the columns of an answer's numbers: of each class, or `value` without classes."""
    return [f"p_{name}" for name in classes] or ["value"]


def answer_columns(classes: Sequence[str]) -> list[str]:
    """Return the columns of an answer; all but `label` are numbers."""
    numbers = number_columns(classes)
    return ["label", "confidence", *numbers] if classes else numbers
