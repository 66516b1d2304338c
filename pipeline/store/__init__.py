"""Rows on disk; only what changed is written again."""
