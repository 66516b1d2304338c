"""What people call the splits."""

SPLIT_NAMES = {
    "train": "train", "val": "val", "valid": "val", "validation": "val", "test": "test",
}  # fmt: skip
"""Names that label files and folders use, in any case, and what they mean."""


def split_name(text: str) -> str | None:
    """Give `train`, `val` or `test` for any of their usual names, else None."""
    return SPLIT_NAMES.get(text.strip().lower())
