"""A version in a process of its own, with its own code."""
