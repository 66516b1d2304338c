"""A model as a file that other programs load, compared before it is handed out."""
