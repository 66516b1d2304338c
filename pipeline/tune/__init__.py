"""Search: better params for training, found on validation data."""
