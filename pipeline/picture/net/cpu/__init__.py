"""Faster forms of the same networks on a CPU."""
