"""What changed between two states of the data or the metrics."""
