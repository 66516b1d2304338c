"""Files and folders of pictures in, a table of predictions out."""
