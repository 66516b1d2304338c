"""Lists of numbers as rows of the store."""
