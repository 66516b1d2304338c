"""`rootstock data strip`: a copy of a raw folder without what its items tell of people."""
