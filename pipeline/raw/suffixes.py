"""Names of files: do they promise a picture?"""

PICTURES = (
    ".jpg",
    ".jpeg",
    ".jpe",
    ".jfif",
    ".png",
    ".gif",
    ".bmp",
    ".dib",
    ".tif",
    ".tiff",
    ".webp",
    ".avif",
    ".ppm",
    ".pgm",
    ".pbm",
    ".pnm",
)
"""Ends of the names of pictures that are read, in lower case."""


def is_picture(name: str) -> bool:
    """Return whether a file of this name promises to be a picture."""
    return name.lower().endswith(PICTURES)
