"""Keep a process apart from the repository, so that a registered model runs its own code.

`load_alone.py` and `resident_main.py` load this file by its path, in a process that must not have
imported `pipeline` yet: the first one imported wins.
"""

import importlib.util
import sys
from pathlib import Path

_PACKAGE_FOLDERS = {"site-packages", "dist-packages"}


def leave_repository(repository: Path) -> None:
    """Take the repository off the import path, also where it is installed as editable.

    Raises:
        RuntimeError: It can still be imported.
    """
    if repository.name in _PACKAGE_FOLDERS:
        return  # the stages themselves run from an installed copy
    sys.path[:] = [entry for entry in sys.path if Path(entry or ".").resolve() != repository]
    sys.meta_path[:] = [
        finder for finder in sys.meta_path if "__editable__" not in _module_of(finder)
    ]
    sys.path_importer_cache.clear()
    spec = importlib.util.find_spec("pipeline")
    origin = Path(spec.origin) if spec is not None and spec.origin else Path("/")
    if origin.is_relative_to(repository) and not _PACKAGE_FOLDERS & set(origin.parts):
        raise RuntimeError(f"{origin} can still be imported")


def _module_of(finder: object) -> str:
    return getattr(finder, "__module__", "") + type(finder).__module__


def check_home(folder: Path) -> None:
    """Make sure that the code which runs is the model's own.

    Args:
        folder: The model's.

    Raises:
        RuntimeError: Another package of the name was imported.
    """
    import pipeline

    home = Path(pipeline.__file__).resolve()
    if not home.is_relative_to(folder.resolve()):
        raise RuntimeError(f"the model took {home}, which is not its own code")
