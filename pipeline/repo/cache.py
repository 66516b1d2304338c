"""What DVC keeps of earlier results: objects in its cache folder.

    cache folder             md5 -> bytes           `cache_folder`, `object_path`
    the object of a folder   path -> md5 of files   `read_listing`

Nothing is written here, and DVC is not imported: that takes longer than the reading.
"""

import configparser
import json
import os
import re
from collections.abc import Iterator
from pathlib import Path

from pipeline.ground.errors import IntegrityError, MachineError, ParamsError

_SYSTEMS = (
    ("DVC_SYSTEM_CONFIG_DIR", "XDG_CONFIG_DIRS", "/etc/xdg"),
    ("DVC_GLOBAL_CONFIG_DIR", "XDG_CONFIG_HOME", "~/.config"),
)
"""Config of the machine and of the user: DVC's variable, else a folder of the desktop's rules."""

_UNREADABLE = "not a readable config of DVC"

_OBJECT = re.compile(r"(?:files/md5/)?[0-9a-f]{2}/[0-9a-f]{30}")
"""Place of a file's object in a cache folder; DVC 2 kept them at its top."""

_MD5 = re.compile(r"[0-9a-f]{32}(?:\.dir)?")


def dvc_folder(root: Path) -> Path:
    """Return the `.dvc` of a project: in its folder, or in the nearest one above that has one.

    Several projects may share the `.dvc` at the top of their repository. Without any, it is the
    place where `dvc init` would make one.
    """
    own = root / ".dvc"
    if own.is_dir():
        return own
    above = (each / ".dvc" for each in root.absolute().parents)
    return next((each for each in above if each.is_dir()), own)


def cache_folder(root: Path) -> Path:
    """Return the cache folder: `cache.dir` of DVC's config files, or the usual one.

    It need not exist. The last file that names one counts: of the machine, of the user, of the
    repository, of this clone. A relative folder is relative to the file that names it.

    Args:
        root: The folder of the project.

    Raises:
        ParamsError: A config file cannot be read as one.
        MachineError: It cannot be read at all.
    """
    folder = dvc_folder(root) / "cache"
    for file in _config_files(root):
        chosen = _cache_dir(file)
        if chosen:
            folder = file.parent / _expanded(chosen)
    return folder


def is_object(path: Path) -> bool:
    """Return whether a path has the form of an object in some cache of DVC."""
    return _OBJECT.fullmatch("/".join(path.parts[-2:])) is not None


def is_object_of(cache: Path, path: Path) -> bool:
    """Return whether a path without links is that of an object in a cache folder.

    Args:
        cache: The folder, without links.
        path: The object, whether it is there or not.
    """
    return path.is_relative_to(cache) and bool(
        _OBJECT.fullmatch(path.relative_to(cache).as_posix())
    )


def _config_files(root: Path) -> Iterator[Path]:
    for own, desktop, usual in _SYSTEMS:
        base = os.environ.get(desktop, "").split(os.pathsep)[0]
        folder = Path(base) if base else _expanded(usual)
        yield Path(os.environ.get(own) or folder / "dvc") / "config"
    yield from (dvc_folder(root) / name for name in ("config", "config.local"))


def object_path(cache: Path, md5: str) -> Path:
    """Return the place of an object in a cache folder, whether it is there or not.

    Args:
        cache: As `cache_folder` gives it.
        md5: As a lock file records it: 32 hex digits, and `.dir` for a folder.

    Raises:
        IntegrityError: It is no such digest.
    """
    if not _MD5.fullmatch(md5):
        raise IntegrityError("dvc.lock", "must record md5 digests", got=md5, remedy="`dvc repro`")
    return cache / "files" / "md5" / md5[:2] / md5[2:]


def read_listing(cache: Path, dir_md5: str) -> dict[str, str]:
    """Return relative path -> md5 of the files of a folder, as they were.

    Args:
        cache: As `cache_folder` gives it.
        dir_md5: The folder's digest, which ends in `.dir`.

    Raises:
        MachineError: The cache does not hold the object.
        IntegrityError: It is damaged, or the digest is not of a folder.
    """
    path = object_path(cache, dir_md5)
    if not dir_md5.endswith(".dir"):
        raise IntegrityError("dvc.lock", "must record a folder here", got=dir_md5)
    try:
        entries = json.loads(path.read_bytes())
        return {str(entry["relpath"]): str(entry["md5"]) for entry in entries}
    except FileNotFoundError as error:
        raise MachineError(path, "not in the cache", remedy="run `dvc fetch`") from error
    except (ValueError, TypeError, KeyError) as error:
        raise IntegrityError(
            path, "is damaged", remedy="remove it, and run `dvc fetch` or `dvc commit`"
        ) from error


def _expanded(text: str) -> Path:
    try:
        return Path(text).expanduser()
    except RuntimeError:  # nobody knows where home is
        return Path(text)


def _cache_dir(path: Path) -> str | None:
    """Read one config file of DVC; its lines may be indented, and values quoted."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise MachineError(
            path,
            f"cannot be read: {error.strerror}",
            remedy="mend its access; HOME must be a folder that you can read",
        ) from error
    except UnicodeDecodeError as error:
        raise ParamsError(path, _UNREADABLE, remedy="see `dvc config`") from error
    parser = configparser.ConfigParser(interpolation=None, strict=False)
    try:
        parser.read_string("\n".join(line.strip() for line in text.splitlines()))
    except configparser.Error as error:
        raise ParamsError(path, _UNREADABLE, remedy="see `dvc config`") from error
    value = parser.get("cache", "dir", fallback="").strip()
    if value[:1] in ("'", '"') and value[-1:] == value[:1]:
        return value[1:-1]
    return value.split("#")[0].strip() or None
