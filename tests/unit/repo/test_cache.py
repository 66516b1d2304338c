"""What DVC recorded and cached is read as DVC itself would read it."""

import hashlib
import json

import pytest

from pipeline.ground.errors import IntegrityError, MachineError, ParamsError
from pipeline.ground.files import md5_file
from pipeline.repo.cache import cache_folder, object_path, read_listing
from pipeline.repo.recorded_outs import read_outs
from tests.support.project import run


def configure(root, name="config", text=""):
    (root / ".dvc").mkdir(exist_ok=True)
    (root / ".dvc" / name).write_text(text, encoding="utf-8")


def test_the_usual_cache_folder(tmp_path):
    assert cache_folder(tmp_path) == tmp_path / ".dvc" / "cache"
    configure(tmp_path, text="[core]\n    analytics = false\n['remote \"here\"']\n  url = /x\n")
    assert cache_folder(tmp_path) == tmp_path / ".dvc" / "cache"


@pytest.mark.parametrize(
    ("text", "folder"),
    [
        ("[cache]\n    dir = /mnt/cache\n", "/mnt/cache"),
        ("[cache]\n\tdir=/mnt/cache # shared", "/mnt/cache"),
        ("[cache]\n    type = hardlink\n    dir = '/mnt/my cache'\n", "/mnt/my cache"),
        (
            "[core]\nautostage = true\n    [cache]\n  dir = ../../shared\n",
            "{root}/.dvc/../../shared",
        ),
        ("[cache]\ndir = 100%here\n", "{root}/.dvc/100%here"),
    ],
)
def test_the_chosen_cache_folder(tmp_path, text, folder):
    configure(tmp_path, text=text)
    assert str(cache_folder(tmp_path)) == folder.format(root=tmp_path)


def test_the_local_config_wins(tmp_path):
    configure(tmp_path, text="[cache]\ndir = /of/all\n")
    configure(tmp_path, "config.local", "[cache]\ndir = /of/mine\n")
    assert str(cache_folder(tmp_path)) == "/of/mine"
    configure(tmp_path, "config.local", "[core]\nremote = here\n")
    assert str(cache_folder(tmp_path)) == "/of/all"


def test_a_damaged_config_is_told(tmp_path):
    configure(tmp_path, text="dir = /x\n")
    with pytest.raises(ParamsError, match=r"\.dvc/config: not a readable config of DVC"):
        cache_folder(tmp_path)


def test_objects_lie_as_dvc_3_lays_them(tmp_path):
    assert object_path(tmp_path, "ab" + "0" * 30) == tmp_path / "files/md5/ab" / ("0" * 30)
    folder = object_path(tmp_path, "ab" + "0" * 30 + ".dir")
    assert folder.name == "0" * 30 + ".dir"


@pytest.mark.parametrize("md5", ["", "..", "ab/../../../../etc/passwd", "AB" + "0" * 30, "ab.dir"])
def test_what_is_no_digest_names_no_file(tmp_path, md5):
    with pytest.raises(IntegrityError, match="must record md5 digests"):
        object_path(tmp_path, md5)


def test_the_listing_of_a_folder(tmp_path):
    md5 = "ab" + "0" * 30 + ".dir"
    path = object_path(tmp_path, md5)
    with pytest.raises(MachineError, match="not in the cache"):
        read_listing(tmp_path, md5)
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps([{"md5": "1" * 32, "relpath": "cat/ü.png"}]), encoding="utf-8")
    assert read_listing(tmp_path, md5) == {"cat/ü.png": "1" * 32}
    for damage in ("[{", "{}x", "[1]", '[{"md5": "1"}]', "\udcff"):
        path.write_bytes(damage.encode("utf-8", "surrogateescape"))
        with pytest.raises(IntegrityError, match="is damaged"):
            read_listing(tmp_path, md5)
    with pytest.raises(IntegrityError, match="must record a folder"):
        read_listing(tmp_path, "ab" + "0" * 30)


def test_what_dvc_itself_writes_is_found(tmp_path):
    run(tmp_path, "git", "init", "--quiet")
    run(tmp_path, "dvc", "init", "--quiet")
    run(tmp_path, "dvc", "cache", "dir", "--local", "../elsewhere")
    raw = tmp_path / "raw"
    (raw / "cat").mkdir(parents=True)
    (raw / "cat" / "ä b.txt").write_text("one")
    (raw / "top.txt").write_text("two")
    run(tmp_path, "dvc", "add", "--quiet", "raw")
    (entry,) = read_outs(tmp_path / "raw.dvc")
    cache = cache_folder(tmp_path)
    listing = read_listing(cache, entry["md5"])
    assert listing == {name: md5_file(raw / name) for name in ("cat/ä b.txt", "top.txt")}
    assert object_path(cache, listing["top.txt"]).read_text() == "two"
    assert hashlib.md5(b"two", usedforsecurity=False).hexdigest() == listing["top.txt"]
