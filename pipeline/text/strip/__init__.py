"""Texts without what leads to a person."""
