"""What clients may ask, in which forms, and how it is read."""
