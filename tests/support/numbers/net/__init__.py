"""Rows of numbers to features."""
