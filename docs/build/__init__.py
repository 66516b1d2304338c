"""The site of `make docs`: the pages of docs/, and two that are written from the code."""
