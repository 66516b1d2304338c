"""Texts to features."""
