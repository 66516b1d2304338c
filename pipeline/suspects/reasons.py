"""Why an item is a suspect."""

from typing import Literal

Reason = Literal["label", "look_alike", "low_information", "outlier"]

REASONS: dict[str, str] = {
    "label": "a model that did not see the label expects another one",
    "look_alike": "an item of another split has nearly the same features",
    "low_information": "the item holds little to learn from",
    "outlier": "no other item's features are near",
}
"""Every code that `reason` can hold, in the table's order, and what it says."""
