"""Bytes to what is known of a list of numbers."""
