"""Data sets that are not read: what they are, and the way on."""
