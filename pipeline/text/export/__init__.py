"""What is particular to texts in an exported file, and in the program beside it."""
