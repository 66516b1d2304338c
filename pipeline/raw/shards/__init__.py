"""Files that hold many samples: shards of archives, and item tables."""
