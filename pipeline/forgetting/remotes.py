"""DVC's remotes: which objects they have, and the removal of some."""

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.ground.errors import MachineError
from pipeline.repo.cache import dvc_folder


@dataclass(frozen=True)
class Remote:
    """One remote.

    Attributes:
        name: Of DVC's config.
        folder: Where its objects lie on this machine; None where they lie elsewhere.
        store: DVC's way to it.
    """

    name: str
    folder: Path | None
    store: Any

    def holds(self, objects: Collection[str]) -> list[str]:
        """Return which objects it has.

        Raises:
            MachineError: It does not answer.
        """
        try:
            return sorted(self.store.oids_exist(list(objects))) if objects else []
        except Exception as error:  # whatever its library raises
            raise _away(self.name, error) from error

    def remove(self, objects: Collection[str]) -> None:
        """Remove objects.

        Raises:
            MachineError: It does not answer, or refuses.
        """
        try:
            for each in objects:
                self.store.delete(each)
        except Exception as error:  # whatever its library raises
            raise _away(self.name, error) from error


def remotes(root: Path) -> Iterator[Remote]:
    """Yield the remotes of DVC's config; none where there is no DVC.

    Raises:
        MachineError: One cannot be opened.
    """
    if not dvc_folder(root).is_dir():
        return
    from dvc.repo import Repo  # slow to import

    with Repo(str(root)) as repo:
        for name in repo.config["remote"]:
            try:
                store = repo.cloud.get_remote_odb(name)
            except Exception as error:  # a plugin that is missing, wrong settings
                raise _away(name, error) from error
            is_local = store.fs.protocol in ("local", "file")
            yield Remote(str(name), Path(store.path) if is_local else None, store)


def _away(name: str, error: Exception) -> MachineError:
    return MachineError(
        f"the remote {name!r}",
        f"cannot be searched: {type(error).__name__}: {error}",
        remedy="look with `rootstock doctor --remote`",
    )
