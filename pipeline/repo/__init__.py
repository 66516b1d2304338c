"""What git and DVC record of results."""
