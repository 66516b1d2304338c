"""Label files: their columns, their rows, and the files that their paths mean."""
