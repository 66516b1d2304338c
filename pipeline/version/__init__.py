"""A registered model version, and the process that runs it."""
