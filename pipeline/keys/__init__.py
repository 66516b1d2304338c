"""The names of results: what went into them, and what training recorded of them."""
