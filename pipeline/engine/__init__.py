"""A model at work: bytes in, rows out."""
