"""All that knows pictures."""
