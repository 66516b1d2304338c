"""Backbone and head, features, and the bundle that ships."""
