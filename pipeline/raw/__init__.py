"""From a folder or a table to raw items; nothing is decoded here."""
