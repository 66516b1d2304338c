"""Lists of numbers for people and programs."""
