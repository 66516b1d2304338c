"""`rootstock review`: a page on which a person decides on suspects, pair by pair and key by key."""
