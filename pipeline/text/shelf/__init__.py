"""Texts as rows of the store."""
