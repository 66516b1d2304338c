"""Sections of params.yaml as stages get them whose keys depend on the modality."""

from pathlib import Path

from pipeline.ground.params import Unchecked


def unchecked(params, name=None):
    """Give a section as it stands in params.yaml.

    Args:
        params: The section, typed.
        name: Of the section; by default that of the class says it.
    """
    name = name or type(params).__name__.removesuffix("Params").lower()
    return Unchecked({name: params.model_dump()}, name, Path("params.yaml"))
