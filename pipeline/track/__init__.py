"""From versioned artifacts to MLflow runs and registered models."""
