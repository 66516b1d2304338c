"""What the parts of a modality promise: protocols, and the types that they share."""
