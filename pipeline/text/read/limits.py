"""What the reading of one text may take."""

from pipeline.ground.limits import ItemLimits

MAX_CHARS = 10_000_000
"""Largest value of `clean.max_chars`."""

LIMITS = ItemLimits(bytes=64 << 20, seconds=60.0, memory=4 << 30)
