"""One way to lock a file between processes: `flock`, and a record of who holds it.

A lock ends with the process that holds it, however that ends. The locks of some network file
systems do not reach other hosts: the record says which host holds it.
"""

import errno
import fcntl
import json
import os
import platform
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
