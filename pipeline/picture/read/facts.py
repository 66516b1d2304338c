"""What `clean` writes of each picture, beside what it writes of any item."""

FACTS = {"width": int, "height": int, "mode": str, "format": str}
"""Columns of the manifest: pixels after EXIF orientation, and Pillow's names."""
