"""What is particular to pictures in an exported file, and in the program beside it."""
