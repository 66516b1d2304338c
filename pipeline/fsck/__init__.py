"""`rootstock fsck`: compares bytes with what the lock files record."""
