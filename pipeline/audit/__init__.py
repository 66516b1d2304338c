"""Decisions on registered models: how they are judged, and how they are recorded."""
