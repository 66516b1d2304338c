"""Files of pictures without what they carry besides pixels, with the same coded data."""
