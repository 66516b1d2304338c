"""Raw files to normalized tensors."""
