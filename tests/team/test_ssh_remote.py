"""A DVC remote behind SSH, with a key: pushes that are cut off, and objects that were altered."""

import asyncssh
import pytest

from tests.support.project import commit, run
from tests.support.servers import sftp_server

pytestmark = pytest.mark.slow

FILES = 40


@pytest.fixture
def clone(tmp_path):
    """A repository with a folder under DVC."""
    folder = tmp_path / "clone"
    raw = folder / "data/cells/raw"
    raw.mkdir(parents=True)
    for number in range(FILES):
        (raw / f"{number:02}.txt").write_text(f"{number}\n" * 1000)
    run(folder, "git", "init", "--quiet", "--initial-branch", "main")
    run(folder, "dvc", "init", "--quiet")
    run(folder, "dvc", "add", "--quiet", "data/cells/raw")
    return folder


@pytest.fixture
def remote(tmp_path, clone):
    """The remote of the clone; no server runs yet."""
    key = tmp_path / "id_ed25519"
    pair = asyncssh.generate_private_key("ssh-ed25519")
    pair.write_private_key(key)
    key.chmod(0o600)
    pair.write_public_key(f"{key}.pub")
    store = tmp_path / "store"
    store.mkdir()
    server = sftp_server(store, key)
    url = f"ssh://team@127.0.0.1:{server.port}/cells"
    run(clone, "dvc", "remote", "add", "--quiet", "--default", "store", url)
    run(clone, "dvc", "remote", "modify", "store", "verify", "true")
    run(clone, "dvc", "remote", "modify", "--local", "store", "keyfile", str(key))
    commit(clone, "data")
    return server, store, key


def objects(folder):
    """Give what a remote or a cache holds: path -> bytes."""
    found = (folder / "files/md5").rglob("*")
    return {path.relative_to(folder): path.read_bytes() for path in found if path.is_file()}


def second_clone(clone):
    other = clone.with_name("other")
    run(clone.parent, "git", "clone", "--quiet", str(clone), str(other))
    (other / ".dvc/config.local").write_bytes((clone / ".dvc/config.local").read_bytes())
    return other


def test_a_push_that_was_cut_off_is_finished_by_the_next(clone, remote):
    server, store, key = remote
    with sftp_server(store, key, die_after=FILES // 2, port=server.port):
        done = run(clone, "dvc", "push", "--jobs", "2", code=1)
        assert "Traceback" not in done.stderr
    with server:
        assert run(clone, "dvc", "push").returncode == 0
        left = objects(store / "cells")
        assert len(left) == FILES + 1
        other = second_clone(clone)
        run(other, "dvc", "pull")
        for path in (clone / "data/cells/raw").iterdir():
            assert (other / path.relative_to(clone)).read_bytes() == path.read_bytes()
    assert left == objects(clone / ".dvc/cache")


def test_an_altered_object_is_refused_and_a_repaired_one_is_pulled(clone, remote):
    server, store, _ = remote
    with server:
        run(clone, "dvc", "push")
        (path,) = [
            store / "cells" / name
            for name, data in objects(store / "cells").items()
            if data.startswith(b"7\n")
        ]
        right = path.read_bytes()
        path.chmod(0o644)
        path.write_bytes(right.replace(b"7", b"8"))
        other = second_clone(clone)
        run(other, "dvc", "pull", code=1)
        assert not (other / "data/cells/raw/07.txt").exists()
        path.write_bytes(right)
        run(other, "dvc", "pull")
        assert (other / "data/cells/raw/07.txt").read_bytes() == right


def test_another_key_is_turned_away_in_one_line(clone, remote):
    server, _, key = remote
    other = key.with_name("other_key")
    asyncssh.generate_private_key("ssh-ed25519").write_private_key(other)
    other.chmod(0o600)
    run(clone, "dvc", "remote", "modify", "--local", "store", "keyfile", str(other))
    with server:
        done = run(clone, "dvc", "push", code=255)
    assert "Permission denied" in done.stderr
    assert "Traceback" not in done.stderr
