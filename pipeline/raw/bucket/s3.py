"""Objects on S3, by fsspec: what lies there, and ranges of bytes.

Credentials, region and address are those of AWS's own programs: `AWS_ACCESS_KEY_ID`,
`AWS_PROFILE`, `AWS_ENDPOINT_URL` and so on; none is a param. What fails for the moment is tried
again, with growing pauses. The only file that imports s3fs.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from threading import Lock
from typing import Any

from aiohttp import ClientError as NetworkError
from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError
from s3fs import S3FileSystem

from pipeline.ground.errors import DataError, IntegrityError, MachineError, PipelineError
from pipeline.ground.limits import clock_stopped, memory_not_counted
from pipeline.raw.archive.io import Source
from pipeline.raw.bucket.pointer import Linked

_CONFIG = {
    "connect_timeout": 10,
    "read_timeout": 60,
    "retries": {"mode": "standard", "max_attempts": 4},
}
_TRIES = 2
"""Of s3fs, for what ends within an answer; each has the tries of botocore, and they are nested."""

_ERRORS = (OSError, EOFError, BotoCoreError, ClientError, NetworkError)
_REFUSED = (PermissionError, NoCredentialsError)


def list_objects(url: str) -> dict[str, Linked]:
    """Return all objects below a URL, by their paths below it.

    Raises:
        DataError: There is no such bucket.
        MachineError: It cannot be listed.
    """
    root = url.partition("://")[2]
    with telling(url):
        found = _find(root)
    return {
        name[len(root) + 1 :]: Linked(f"s3://{name}", each["size"], _etag(each), _version(each))
        for name, each in found.items()
        if name.startswith(f"{root}/") and not name.endswith("/")
    }


def read_whole(file: Linked) -> bytes:
    """Return all bytes of an object.

    Raises:
        IntegrityError: It is gone, or another one.
        MachineError: It cannot be read.
    """
    return RemoteSource(file).read(0, file.size_bytes)


class RemoteSource(Source):
    """An object that is read by ranges; it may be used by several threads.

    Args:
        file: What is expected there.
    """

    def __init__(self, file: Linked) -> None:
        self.where = file.url
        self.size_bytes = file.size_bytes
        self._file = file
        self._lock = Lock()

    def read(self, offset: int, length: int) -> bytes:
        """Read by one request; fewer bytes come at the end of the object alone.

        Raises:
            IntegrityError: The object is gone, or another one.
            MachineError: It cannot be read.
        """
        length = min(length, self.size_bytes - offset)
        if length <= 0:
            return b""
        with self._lock, telling(self._file.url, self._file), clock_stopped():
            self._stream.seek(offset)
            content: bytes = self._stream.read(length)
            if len(content) != length:
                raise EOFError(f"{len(content)} of {length} bytes came")
        return content

    @cached_property
    def _stream(self) -> Any:
        """The object, open; its head has been compared."""
        file = self._file
        with memory_not_counted():
            stream = _files().open(
                file.url, "rb", cache_type="none", version_id=file.version, fill_cache=False
            )
        if (stream.size, _etag(stream.details)) != (file.size_bytes, file.etag):
            raise _changed(file.url)
        return stream


@contextmanager
def telling(url: str, file: Linked | None = None) -> Iterator[None]:
    """Translate what libraries raise into one line.

    Args:
        url: Of what is read.
        file: What is expected there; None for a bucket that is listed.

    Raises:
        DataError: There is no such bucket.
        IntegrityError: The object is gone, or another one.
        MachineError: Anything else.
    """
    try:
        yield
    except PipelineError:
        raise
    except _ERRORS as error:
        raise _told(url, file, error) from error


def _told(url: str, file: Linked | None, error: BaseException) -> PipelineError:
    if isinstance(error, FileNotFoundError):
        if file is None:
            return DataError(url, "there is no such bucket", remedy="mend the URL")
        return IntegrityError(
            url,
            "is gone since it was linked",
            remedy="restore it; or run `rootstock data link` and `dvc add` again",
        )
    if "pre-condition" in str(error) or type(error).__name__ == "FileExpired":
        return _changed(url)
    said = " ".join(str(error).split())[:160] or type(error).__name__
    if isinstance(error, _REFUSED):
        return MachineError(
            url,
            f"it refuses us: {said}",
            remedy="set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE, of someone "
            "who may list and read there",
        )
    return MachineError(
        url,
        f"cannot be read, after several tries: {said}",
        remedy="look at the network and at AWS_ENDPOINT_URL, and run it again",
    )


def _changed(url: str) -> IntegrityError:
    return IntegrityError(
        url,
        "has changed since it was linked",
        remedy="restore it; or take it as it is: run `rootstock data link` and `dvc add` again",
    )


def _files() -> S3FileSystem:
    files = S3FileSystem(
        version_aware=True,
        use_listings_cache=False,
        config_kwargs=_CONFIG,
        # A key of the instances: another address is another client.
        endpoint_url=os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL"),
    )
    files.retries = _TRIES
    return files


def _find(root: str) -> dict[str, Any]:
    """List with versions; without them where they may not be listed, or are unknown there."""
    files = _files()
    try:
        found: dict[str, Any] = files.find(root, detail=True)
    except (PermissionError, NotImplementedError):
        plain = S3FileSystem(
            use_listings_cache=False, config_kwargs=_CONFIG, endpoint_url=files.endpoint_url
        )
        found = plain.find(root, detail=True)
    return found


def _etag(info: Any) -> str:
    return str(info["ETag"]).strip('"')


def _version(info: Any) -> str | None:
    version = info.get("VersionId")
    return None if version in (None, "", "null") else str(version)
