"""Pretrained weights, backbones, features, and the bundle that ships."""
