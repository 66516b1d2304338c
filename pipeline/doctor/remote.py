"""DVC's remotes: what of sharing would fail, told before the first push."""

import re
import secrets
import tempfile
import threading
from collections.abc import Generator, Iterator, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from pipeline.ground.errors import MachineError
from pipeline.ground.findings import Finding, ok, warn
from pipeline.track.connection import redact

_PLUGINS = {
    "s3": "dvc_s3",
    "gs": "dvc_gs",
    "azure": "dvc_azure",
    "ssh": "dvc_ssh",
    "oss": "dvc_oss",
    "webdav": "dvc_webdav",
    "webdavs": "dvc_webdav",
    "hdfs": "dvc_hdfs",
    "webhdfs": "dvc_webhdfs",
    "gdrive": "dvc_gdrive",
}
"""By scheme: the module that DVC needs; files and http need none."""

_SECRETS = (
    "password",
    "secret_access_key",
    "access_key_id",
    "session_token",
    "account_key",
    "sas_token",
    "connection_string",
    "client_secret",
    "token",
    "oss_key_secret",
    "gdrive_client_secret",
)

_TIMEOUT_S = 30.0

_REASONS: tuple[tuple[tuple[str, ...], str, str], ...] = (
    (("remotemissingdeps",), "a package is not installed", "install it with pip"),
    (
        ("nocredentials", "credentials", "no authentication"),
        "there are no credentials for it",
        "set them with `dvc remote modify --local`, or in the environment",
    ),
    (
        ("requesttimetooskewed", "clock", "skew"),
        "the clocks of this machine and of it differ",
        "set this machine's clock",
    ),
    (
        ("hostkey", "host key"),
        "its host key is not the known one",
        "compare it with its owner, then mend ~/.ssh/known_hosts",
    ),
    (
        (
            "permissionerror",
            "permission denied",
            "accessdenied",
            "403",
            "forbidden",
            "401",
            "unauthorized",
            "invalidaccesskey",
            "signaturedoesnotmatch",
        ),
        "it refuses us",
        "check user, key and rights to write",
    ),
    (("nosuchbucket", "no such bucket"), "there is no such bucket", "create it, or mend the URL"),
    (("409", "conflict"), "its base folder is not there", "create that folder first"),
    (
        (
            "name or service not known",
            "nodename",
            "name resolution",
            "getaddrinfo",
            "gaierror",
            "endpointconnection",
        ),
        "its host is not found",
        "mend the URL, or look at the network",
    ),
    (
        ("refused", "unreachable", "connect call failed", "cannot connect"),
        "nothing listens there",
        "mend host and port, or start it",
    ),
    (("no space", "quota", "disk full", "insufficient"), "it is full", "free space there"),
    (
        ("read-only", "405", "not allowed", "notimplemented", "not supported"),
        "it cannot be written",
        "it is fine for pulling; push to another",
    ),
    (("timed out", "timeout"), "it does not answer in time", "look at the network"),
    (
        ("404", "filenotfound", "no such file"),
        "its base folder is not there",
        "create that folder first",
    ),
)
"""Words in the name or text of an error, in lower case; what happened; and what to do."""


def check_remotes(
    config: Mapping[str, Any], *, try_default: bool
) -> Generator[Finding, None, None]:
    """Check the remotes that are configured.

    Args:
        config: DVC's.
        try_default: Write a small file to the default remote, read it, and delete it.

    Raises:
        MachineError: The default remote is to be tried, and does not work.
    """
    remotes: Mapping[str, Any] = config["remote"]
    default = config["core"].get("remote")
    if not remotes:
        if try_default:
            raise MachineError("dvc remote", "there is none to try", remedy=_ADD)
        yield warn("dvc remote", "there is none: data and results are on this machine alone", _ADD)
        return
    yield from _secrets(config)
    if default not in remotes:
        yield warn(
            "dvc remote",
            f"there is no default among {', '.join(remotes)}",
            "run `dvc remote default <name>`",
        )
    for name, settings in remotes.items():
        yield from _judge(config, str(name), settings, is_default=name == default)
    if try_default and default in remotes:
        _try(str(default))
        yield ok(f"dvc remote {default}", "a file was written, read and deleted there")


_ADD = "run `dvc remote add --default <name> <url>`"


_LEVELS = {"system": "--system ", "global": "--global ", "local": "--local ", "repo": ""}
"""Files of DVC's configuration, and the option of `dvc remote modify` that names each."""


def _judge(
    config: Any, name: str, settings: Mapping[str, Any], *, is_default: bool
) -> Iterator[Finding]:
    where, url = f"dvc remote {name}", str(settings.get("url", ""))
    plugin = _PLUGINS.get(url.partition("://")[0]) if "://" in url else None
    if plugin and find_spec(plugin) is None:
        yield warn(
            where,
            f"{redact(url)} needs a package that is not installed",
            f"run `pip install {plugin.replace('_', '-')}`",
        )
    remedy = f"run `dvc remote modify {_level(config, name)}{name} verify true`"
    if not settings.get("verify"):
        told = "verify is off: a damaged object would be pulled without a word"
        yield warn(where, told, remedy)
    elif _is_shared(config, name) and not _at(config, "repo", name).get("verify"):
        told = "verify is on in this clone only: others pull a damaged object without a word"
        yield warn(where, told, f"{remedy}, and commit .dvc/config")
    else:
        yield ok(where, redact(url) + (", the default" if is_default else ""))


def _at(config: Any, level: str, name: str) -> Mapping[str, Any]:
    """Return what one file of the configuration says of a remote."""
    found: Mapping[str, Any] = config.read(level).get("remote", {}).get(name, {})
    return found


def _is_shared(config: Any, name: str) -> bool:
    return "url" in _at(config, "repo", name)


def _level(config: Any, name: str) -> str:
    """Return the option for the file that has the remote's address; DVC adds to no other."""
    found = [option for level, option in _LEVELS.items() if "url" in _at(config, level, name)]
    return found[-1] if found else ""


def _secrets(config: Any) -> Iterator[Finding]:
    """Look for secrets in the file that git commits."""
    for name, settings in config.read("repo").get("remote", {}).items():
        told = [key for key in settings if key in _SECRETS]
        if told:
            yield warn(
                ".dvc/config",
                f"remote {name}: {told[0]} is in a file that git commits",
                f"run `dvc remote modify --local {name} {told[0]} ...`, and take it out",
            )


def _try(name: str) -> None:
    """Write, read and delete a file by DVC's own way there, within bounds of time.

    Raises:
        MachineError: It does not work.
    """
    outcome: list[BaseException | None] = []
    thread = threading.Thread(target=_try_in_thread, args=(name, outcome), daemon=True)
    thread.start()
    thread.join(_TIMEOUT_S)
    error = outcome[0] if outcome else TimeoutError(f"timed out after {_TIMEOUT_S:.0f} s")
    if error is not None:
        reason, remedy = explain(error)
        raise MachineError(f"dvc remote {name}", reason, remedy=remedy) from error


def _try_in_thread(name: str, outcome: list[BaseException | None]) -> None:
    try:
        _round_trip(name)
    except Exception as error:  # noqa: BLE001  every plugin has errors of its own
        outcome.append(error)
    else:
        outcome.append(None)


def _round_trip(name: str) -> None:
    from dvc.repo import Repo

    content = secrets.token_bytes(64)
    with Repo(str(Path.cwd())) as repo, tempfile.TemporaryDirectory() as folder:
        remote = repo.cloud.get_remote(name)
        source = Path(folder) / f"rootstock-doctor-{secrets.token_hex(8)}"
        source.write_bytes(content)
        target = remote.fs.join(remote.path, source.name)
        remote.fs.put_file(str(source), target)
        try:
            if remote.fs.cat_file(target) != content:
                raise OSError("it returns other bytes than were written")
        finally:
            remote.fs.rm_file(target)


def explain(error: BaseException) -> tuple[str, str]:
    """Return what an error of a remote says in few words, and what to do."""
    chain: list[BaseException] = []
    each: BaseException | None = error
    while each is not None and each not in chain:
        chain.append(each)
        each = each.__cause__ or each.__context__
    named = [f"{type(one).__name__} {one}" for one in chain]
    text = " ".join(named).lower()
    first = redact(" ".join(str(error).split()))[:200] or type(error).__name__
    for words, reason, remedy in _REASONS:
        if any(_says(text, word) for word in words):
            return f"{reason}: {first}", remedy
    return f"does not work: {first}", "`dvc push --verbose` shows more"


def _says(text: str, word: str) -> bool:
    """Look for a word, or for a status code that is no part of a longer number or hash."""
    if not word.isdecimal():
        return word in text
    return re.search(rf"(?<![0-9a-f]){word}(?![0-9a-f])", text) is not None
