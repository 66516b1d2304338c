"""`rootstock fsck`: are the bytes those that the lock files record."""
