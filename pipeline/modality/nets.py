"""Find the Net of a modality."""

from importlib import import_module

from pipeline.modality.protocols import Net

PART = "net.net"
"""The module of every modality that holds it; tests read this too, for the imports of stages."""


def net(modality: str) -> Net:
    """Return the Net of a modality of `MODALITIES`."""
    found: Net = import_module(f"pipeline.{modality}.{PART}").NET
    return found
