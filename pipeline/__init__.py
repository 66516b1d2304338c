"""Rootstock: a transfer-learning pipeline from raw pictures to a registered model."""
