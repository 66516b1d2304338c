"""Archives read in place: tar and zip."""
