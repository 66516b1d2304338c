"""A registered version in a process of its own, and the HTTP server in front of it."""
