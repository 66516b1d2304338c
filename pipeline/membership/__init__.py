"""Membership audit: how well one can tell which items a model was trained on."""
