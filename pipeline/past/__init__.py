"""Rebuild MLflow from the history, and follow a number back to what made it."""
