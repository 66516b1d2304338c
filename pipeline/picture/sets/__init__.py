"""Raw folders of pictures that are sets for other tasks, or lie in files that are not read."""
