"""Folders whose names say the classes and the splits."""
