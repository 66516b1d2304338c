"""What a training starts from, and how far it goes from there."""
