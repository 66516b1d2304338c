"""Bytes to what is known of a text."""
