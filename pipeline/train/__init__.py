"""The training loop, its strategies and its checkpoints."""
