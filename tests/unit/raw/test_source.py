"""A raw item is read whole, from a file or from an archive, and never from outside the folder."""

import ctypes
import mmap
import os
import time
from pathlib import Path

import pytest

from pipeline.clean.probe_item import probe_item
from pipeline.ground.errors import DataError
from pipeline.picture.read.limits import item_limits
from pipeline.picture.read.probe import Limits
from pipeline.raw.source import RawFault, expect, read_raw, split_path
from tests.support.packed import pack_folder, packed, tar
from tests.support.rawfolder import save_picture

LIMIT = 1000


def open_files():
    place = Path("/proc/self/fd")
    return sum(1 for _ in place.iterdir()) if place.exists() else 0


def fault(raw, path, limit=LIMIT):
    with pytest.raises(RawFault) as caught:
        read_raw(raw, path, limit)
    return caught.value.reason, caught.value.detail


def test_files_and_members_alike(tmp_path):
    (tmp_path / "cat").mkdir()
    (tmp_path / "cat/1.jpg").write_bytes(b"loose")
    (tmp_path / "cat/a.tar").write_bytes(tar([("x/2.jpg", b"in tar")]))
    (tmp_path / "B.ZIP").write_bytes(packed([("x/3.jpg", b"in zip")]))
    paths = ("cat/1.jpg", "cat/a.tar/x/2.jpg", "B.ZIP/x/3.jpg")
    assert [read_raw(tmp_path, path, LIMIT) for path in paths] == [b"loose", b"in tar", b"in zip"]


def test_a_folder_may_be_called_like_an_archive(tmp_path):
    (tmp_path / "a.tar/b.zip").mkdir(parents=True)
    (tmp_path / "a.tar/b.zip/1.jpg").write_bytes(b"1")
    assert split_path(tmp_path, "a.tar/b.zip/1.jpg") == ("a.tar/b.zip/1.jpg", None)
    assert read_raw(tmp_path, "a.tar/b.zip/1.jpg", LIMIT) == b"1"
    (tmp_path / "a.tar/c.tar").write_bytes(tar([("d.zip/2.jpg", b"2")]))
    assert read_raw(tmp_path, "a.tar/c.tar/d.zip/2.jpg", LIMIT) == b"2"


def test_an_archive_that_changed_is_read_anew(tmp_path):
    for number in range(3):
        (tmp_path / "a.tar").write_bytes(tar([("x" * number, b"0"), ("1.jpg", b"%d" % number)]))
        os.utime(tmp_path / "a.tar", ns=(number, number))
        assert read_raw(tmp_path, "a.tar/1.jpg", LIMIT) == b"%d" % number


def test_more_archives_than_are_kept_open(tmp_path):
    before = open_files()
    for number in range(40):
        (tmp_path / f"{number}.tar").write_bytes(tar([("1.jpg", b"%d" % number)]))
    for number in [*range(40), *range(40)]:
        assert read_raw(tmp_path, f"{number}.tar/1.jpg", LIMIT) == b"%d" % number
    assert open_files() <= before + 9


def test_what_leaves_the_folder_is_not_read(tmp_path):
    raw = tmp_path / "raw"
    raw.mkdir()
    (tmp_path / "secret.tar").write_bytes(tar([("1.jpg", b"1")]))
    (raw / "out.tar").symlink_to(tmp_path / "secret.tar")
    (raw / "out.jpg").symlink_to("/etc/hostname")
    leaves = ("unsafe_path", "a link that leaves the data folder")
    assert fault(raw, "out.tar/1.jpg") == leaves
    assert fault(raw, "out.jpg") == leaves
    for path in ("../secret.tar/1.jpg", "/etc/hostname", "a/../../secret.tar"):
        assert fault(raw, path) == ("unsafe_path", "a path that leaves the data folder")


def test_what_is_no_file_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe.jpg")
    os.mkfifo(tmp_path / "pipe.tar")
    (tmp_path / "folder.jpg").mkdir()
    assert fault(tmp_path, "pipe.jpg") == ("unsafe_path", "a FIFO")
    assert fault(tmp_path, "pipe.tar/1.jpg") == ("unsafe_path", "a FIFO")
    assert fault(tmp_path, "folder.jpg") == ("unsafe_path", "no regular file")


def test_what_is_not_there_is_unreadable(tmp_path):
    (tmp_path / "1.jpg").write_bytes(b"1")
    (tmp_path / "a.tar").write_bytes(tar([("1.jpg", b"1")]))
    assert fault(tmp_path, "gone.jpg") == ("unreadable", "No such file or directory")
    assert fault(tmp_path, "gone.tar/1.jpg") == ("unreadable", "No such file or directory")
    assert fault(tmp_path, "a.tar/gone.jpg") == ("unreadable", "no such member")
    assert fault(tmp_path, "1.jpg/2.jpg") == ("unreadable", "Not a directory")
    assert fault(tmp_path, "x" * 300) == ("unreadable", "File name too long")


def test_what_is_too_large_is_not_read(tmp_path):
    (tmp_path / "1.jpg").write_bytes(b"1" * 1001)
    (tmp_path / "a.tar").write_bytes(tar([("1.jpg", b"1" * 1001)]))
    with pytest.raises(RawFault, match="a file of 1001 bytes") as caught:
        read_raw(tmp_path, "1.jpg", LIMIT)
    assert len(caught.value.sha256) == 64
    assert fault(tmp_path, "a.tar/1.jpg") == ("too_large", "a member of 1001 bytes")
    assert len(read_raw(tmp_path, "a.tar/1.jpg", 1001)) == 1001
    assert item_limits(100).bytes > 100 * 16


def test_a_corrupt_archive_is_an_error(tmp_path):
    (tmp_path / "a.tar").write_bytes(tar([("1.jpg", b"1")])[:700])
    with pytest.raises(DataError, match=r"a\.tar: is cut or corrupt at byte 700"):
        read_raw(tmp_path, "a.tar/1.jpg", LIMIT)


@pytest.mark.parametrize("kind", ["tar", "zip"])
def test_the_same_bytes_have_the_same_probe_wherever_they_lie(tmp_path, kind):
    limits = Limits(10_000, "first")
    for number, name in enumerate(("1.png", "deep/2.jpg", "3.webp")):
        save_picture(tmp_path / "loose" / name, number)
    (tmp_path / "loose/bad.png").write_bytes(b"<html>")
    pack_folder(tmp_path / "loose", tmp_path / f"raw/a.{kind}")
    for name in ("1.png", "deep/2.jpg", "3.webp", "bad.png"):
        loose = probe_item(tmp_path / "loose", limits, name)
        assert probe_item(tmp_path / "raw", limits, f"a.{kind}/{name}") == loose
        assert len(loose.id) == 64


def is_in_memory(path):
    """Ask the kernel: to read would fetch."""
    libc, told = ctypes.CDLL(None, use_errno=True), ctypes.c_ubyte()
    with path.open("rb") as stream:
        pages = mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_COPY)
    place = ctypes.addressof(ctypes.c_char.from_buffer(pages))
    assert libc.mincore(ctypes.c_void_p(place), ctypes.c_size_t(1), ctypes.byref(told)) == 0
    return bool(told.value & 1)


def test_what_is_expected_is_fetched_and_what_cannot_be_is_passed_over(tmp_path):
    """Where the file system forgets on request: a tmpfs is always in memory."""
    raw = tmp_path / "raw"
    raw.mkdir()
    for number in range(3):
        (raw / str(number)).write_bytes(bytes(100_000))
    os.mkfifo(raw / "fifo")
    (tmp_path / "outside").write_bytes(bytes(100_000))
    (raw / "link").symlink_to(tmp_path / "outside")
    files = [raw / "0", raw / "1", raw / "2", tmp_path / "outside"]
    for path in files:
        with path.open("rb") as stream:
            os.fsync(stream.fileno())
            os.posix_fadvise(stream.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
    before = [is_in_memory(path) for path in files]
    expect(raw, ["0", "gone", "fifo", "link", "0/member.png", "../outside", str(files[3]), "2"])
    wanted = [True, before[1], True, before[3]]
    deadline = time.monotonic() + 30
    while [is_in_memory(path) for path in files] != wanted and time.monotonic() < deadline:
        time.sleep(0.01)
    assert [is_in_memory(path) for path in files] == wanted
