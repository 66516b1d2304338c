"""Processes below another one, looked at while they come and go."""

from contextlib import suppress

import psutil


def children(pid, word, *, recursive=False):
    """Give those with a word in their command line; one that ends says nothing of the others."""
    found = []
    with suppress(psutil.NoSuchProcess):
        for each in psutil.Process(pid).children(recursive=recursive):
            with suppress(psutil.NoSuchProcess):
                if word in " ".join(each.cmdline()):
                    found.append(each)
    return found
