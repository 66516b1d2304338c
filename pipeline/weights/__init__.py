"""Pretrained weights of any source as one checked artifact."""
