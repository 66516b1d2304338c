"""One row for every item, and the split that it goes to."""
