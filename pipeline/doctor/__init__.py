"""`rootstock doctor`: what is wrong, told before any work; a module for each concern."""
