"""`rootstock forget`: items taken out of data, results and stores, and a search for the rest."""
