"""Judge every raw item once."""
