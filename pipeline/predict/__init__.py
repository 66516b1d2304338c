"""Files and folders in, a table of predictions out."""
