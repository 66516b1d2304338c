"""Refuse sets of pictures that are for other tasks, or in files that are not read."""
