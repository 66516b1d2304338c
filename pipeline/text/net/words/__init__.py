"""Word vectors: averaged, or under convolutions."""
