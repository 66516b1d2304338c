"""Pictures as rows of the store, and their normalization."""
