"""`rootstock doctor`: what is wrong, reported before any work; a module for each concern."""
