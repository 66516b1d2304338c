"""Files that hold many samples: shards of archives, and tables with pictures."""
