"""Make a result again in a clean worktree, from raw data and weights, and compare."""
