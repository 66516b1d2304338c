"""All that knows texts."""
