"""One way to lock a file between processes: `flock`, and a record of who holds it.

A lock ends with the process that holds it, however that ends. The locks of some network file
systems do not reach other hosts: the record says which host holds it.
"""

import errno
import fcntl
import hashlib
import json
import os
import platform
import re
import time
from pathlib import Path
from typing import IO, Any

from pipeline.ground.errors import MachineError

_BOOT = Path("/proc/sys/kernel/random/boot_id")
_WITHOUT_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP, errno.EINVAL)


def try_lock(file: IO[Any] | int, path: Path, *, shared: bool = False) -> bool:
    """Lock an open file, or return False where another process holds it.

    Args:
        file: The file, or its descriptor; closing it ends the lock.
        path: Its name, for messages.
        shared: Several readers may hold it.

    Raises:
        MachineError: The file system has no locks.
    """
    kind = fcntl.LOCK_SH if shared else fcntl.LOCK_EX
    try:
        fcntl.flock(file, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:
        if error.errno not in _WITHOUT_LOCKS:
            raise
        raise MachineError(
            path,
            f"cannot be locked: {os.strerror(error.errno or 0)}; the file system of "
            f"{path.absolute().parent} has no file locks",
            remedy="mount it with locks (NFS: `local_lock=none`, and not `nolock`), or work in a "
            "clone on a local disk",
        ) from error
    return True


def wait_for_lock(
    file: IO[Any] | int, path: Path, *, timeout_s: float, pause_s: float = 0.1
) -> bool:
    """Lock an open file, or return False where another process holds it for `timeout_s` seconds.

    Raises:
        MachineError: The file system has no locks.
    """
    deadline = time.monotonic() + timeout_s
    while not try_lock(file, path):
        if time.monotonic() > deadline:
            return False
        time.sleep(pause_s)
    return True


def unlock(file: IO[Any]) -> None:
    """End a lock before its file is closed."""
    fcntl.flock(file, fcntl.LOCK_UN)


def this_process() -> dict[str, str | int]:
    """Return who holds a lock: process, host, and which start of the host."""
    boot = _BOOT.read_text(encoding="ascii").strip() if _BOOT.exists() else ""
    return {"pid": os.getpid(), "host": platform.node(), "boot": boot}


_OWNER = re.compile(r"([0-9a-f]{12})-([0-9a-f]{6})-([0-9]+)")


def owner() -> str:
    """Return a word for this process that no process of another host has, for a file's name.

    It says host, start of the host and process, the first two as parts of their SHA-256.
    """
    me = this_process()
    return f"{_digest(me['host'], 12)}-{_digest(me['boot'], 6)}-{me['pid']}"


def has_ended(word: str) -> bool:
    """Return whether the process that `owner` names has ended for sure.

    Of other hosts nobody knows, nor what another word stands for: False. A container is a host.
    """
    found, mine = _OWNER.fullmatch(word), _OWNER.fullmatch(owner())
    if not found or not mine or found[1] != mine[1]:
        return False
    return found[2] != mine[2] or not _is_alive(int(found[3]))


def _digest(value: str | int, digits: int) -> str:
    return hashlib.sha256(str(value).encode()).hexdigest()[:digits]


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def write_holder(stream: IO[str]) -> None:
    """Write this process into the lock file that it holds; it is on disk when this returns."""
    clear_holder(stream)
    stream.write(json.dumps(this_process(), sort_keys=True))
    stream.flush()
    os.fsync(stream.fileno())


def clear_holder(stream: IO[str]) -> None:
    """Empty a lock file."""
    stream.seek(0)
    stream.truncate()
    stream.flush()


def read_holder(stream: IO[str]) -> dict[str, Any]:
    """Return the last holder that a lock file names; nothing while it is being written."""
    stream.seek(0)
    try:
        record = json.loads(stream.read() or "{}")
    except ValueError:
        return {}
    return record if isinstance(record, dict) else {}
