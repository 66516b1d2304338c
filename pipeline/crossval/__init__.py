"""Cross-validation on cached features."""
