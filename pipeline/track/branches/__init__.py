"""Results beside the main one: cross-validation, suspects, explanation, and searches."""
