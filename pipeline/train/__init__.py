"""What is minimized, how weights move, and how well the result does."""
