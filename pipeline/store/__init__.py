"""Rows on disk, made anew only where they must be."""
