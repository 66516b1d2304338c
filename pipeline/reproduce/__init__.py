"""A result made again in a clean worktree, from raw data and weights, and compared."""
