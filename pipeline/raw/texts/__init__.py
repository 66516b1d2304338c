"""Tables with a column of texts: each cell of it is an item."""
