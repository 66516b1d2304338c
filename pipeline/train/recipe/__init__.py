"""The parts of a training recipe."""
