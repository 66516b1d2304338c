"""Encoded bytes to pixels, and what is known of a picture."""
