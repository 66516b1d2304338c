"""The cleaning report as one page for people."""
