"""A member of an archive is read by its place, to the byte as Python's own readers give it."""

import io
import os
import stat
import struct
import tarfile
import tracemalloc
import warnings
import zipfile

import numpy as np
import pytest

from pipeline.ground.errors import DataError
from pipeline.manifest.manifest import reasons
from pipeline.raw.archive.archive import Archive, RawFault, is_archive
from tests.support.packed import packed, tar, tar_of_kind

REASONS = reasons("picture")

LIMIT = 1 << 20
LONG = "/".join(["folder" * 5] * 6) + "/" + "n" * 120 + ".jpg"
CONTENTS = [
    ("cat/1.jpg", b"one"),
    ("cat/empty.jpg", b""),
    ("dog/\u00e9 \u732b.jpg", bytes(range(256)) * 9),
    (LONG, b"long"),
    ("p" * 90 + "/" + "q" * 90, b"in two fields of ustar"),
]
FORMATS = {
    "gnu": lambda: tar(CONTENTS, kind=tarfile.GNU_FORMAT),
    "pax": lambda: tar(CONTENTS, kind=tarfile.PAX_FORMAT),
    "pax-with-times": lambda: tar(CONTENTS, kind=tarfile.PAX_FORMAT, mtime=1.5),
    "ustar": lambda: tar([each for each in CONTENTS if each[0] != LONG], kind=tarfile.USTAR_FORMAT),
}
ZIPS = {
    "deflated": lambda: packed(CONTENTS),
    "stored": lambda: packed(CONTENTS, method=zipfile.ZIP_STORED),
    "with-comment": lambda: packed(CONTENTS, comment=b"a comment " * 9),
    "behind-a-program": lambda: b"\x7fELF" + bytes(999) + packed(CONTENTS),
    "unix": lambda: packed(CONTENTS, mode=stat.S_IFREG | 0o644),
}


def write(folder, content, name):
    (folder / name).write_bytes(content)
    return Archive(folder / name)


def listed(archive):
    return {member.path: member.fault for member in archive.members()}


@pytest.mark.parametrize("make", FORMATS.values(), ids=FORMATS)
def test_tar_gives_what_tarfile_gives(tmp_path, make):
    archive = write(tmp_path, make(), "a.tar")
    with tarfile.open(tmp_path / "a.tar") as reference:
        expected = {each.name: reference.extractfile(each).read() for each in reference}
    assert listed(archive) == dict.fromkeys(expected)
    assert {name: archive.read(name, LIMIT) for name in expected} == expected
    assert len(expected) >= 4


@pytest.mark.parametrize("make", ZIPS.values(), ids=ZIPS)
def test_zip_gives_what_zipfile_gives(tmp_path, make):
    archive = write(tmp_path, make(), "a.zip")
    with zipfile.ZipFile(tmp_path / "a.zip") as reference:
        expected = {name: reference.read(name) for name in reference.namelist()}
    assert listed(archive) == dict.fromkeys(expected)
    assert {name: archive.read(name, LIMIT) for name in expected} == expected


def test_a_comment_that_is_an_end_too_is_refused(tmp_path):
    harmless = packed(CONTENTS, comment=b"PK\5\6 and so on")
    assert len(listed(write(tmp_path, harmless, "a.zip"))) == len(CONTENTS)
    hostile = packed(CONTENTS, comment=b"PK\5\6" + bytes(18))
    with pytest.raises(DataError, match="it has two ends"):
        listed(write(tmp_path, hostile, "a.zip"))


def test_zip64_and_members_written_to_a_stream(tmp_path):
    class Pipe(io.RawIOBase):
        """A stream that cannot seek, so that sizes follow the contents."""

        def __init__(self):
            self.parts = []

        def writable(self):
            return True

        def write(self, part):
            self.parts.append(bytes(part))
            return len(part)

    pipe = Pipe()
    with zipfile.ZipFile(pipe, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in CONTENTS:
            with archive.open(zipfile.ZipInfo(name), "w", force_zip64=True) as member:
                member.write(content)
    archive = write(tmp_path, b"".join(pipe.parts), "a.zip")
    for name, content in CONTENTS:
        assert archive.read(name, LIMIT) == content


def test_zip64_directory(tmp_path, monkeypatch):
    monkeypatch.setattr(zipfile, "ZIP_FILECOUNT_LIMIT", 2)
    monkeypatch.setattr(zipfile, "ZIP64_LIMIT", 40)
    content = packed(CONTENTS, method=zipfile.ZIP_STORED)
    assert b"PK\x06\x06" in content
    archive = write(tmp_path, content, "a.zip")
    for name, expected in CONTENTS:
        assert archive.read(name, LIMIT) == expected


def test_sizes_beyond_octal_and_in_pax_records(tmp_path):
    header = bytearray(tar([("1.jpg", b"abc")])[:512])
    header[124:136] = b"\x80" + (3).to_bytes(11, "big")
    header[148:156] = b" " * 8
    header[148:156] = b"%06o\0 " % sum(header)
    archive = write(tmp_path, bytes(header) + b"abc".ljust(512, b"\0") + bytes(1024), "a.tar")
    assert archive.read("1.jpg", LIMIT) == b"abc"
    sized = tar([("1.jpg", b"abc")], kind=tarfile.PAX_FORMAT, pax_headers={"size": "3"})
    assert write(tmp_path, sized, "b.tar").read("1.jpg", LIMIT) == b"abc"


def test_folders_are_no_members_and_names_are_put_in_order(tmp_path):
    archive = write(tmp_path, tar_of_kind("cat", tarfile.DIRTYPE), "a.tar")
    assert listed(archive) == {}
    archive = write(tmp_path, tar([("./cat//1.jpg", b"1"), ("dog\\2.jpg", b"2")]), "b.tar")
    assert [archive.read(name, LIMIT) for name in ("cat/1.jpg", "dog/2.jpg")] == [b"1", b"2"]
    archive = write(tmp_path, packed([("cat/", b""), ("cat\\1.jpg", b"1")]), "c.zip")
    assert listed(archive) == {"cat/1.jpg": None}


def with_flags(content, flags):
    """Set the flags of the only member of a zip, in its directory."""
    at = content.index(b"PK\x01\x02") + 8
    return content[:at] + struct.pack("<H", flags) + content[at + 2 :]


ONE = packed([("1.jpg", b"1" * 99)])
FAULTS = {
    "absolute": (tar([("/etc/passwd", b"x")]), "tar", "/etc/passwd", "unsafe_path"),
    "upwards": (tar([("../../x.jpg", b"x")]), "tar", "../../x.jpg", "unsafe_path"),
    "upwards-on-windows": (tar([("a\\..\\..\\x", b"x")]), "tar", "a\\..\\..\\x", "unsafe_path"),
    "drive": (packed([("C:/x.jpg", b"x")]), "zip", "C:/x.jpg", "unsafe_path"),
    "zip-slip": (packed([("../x.jpg", b"x")]), "zip", "../x.jpg", "unsafe_path"),
    "no-name": (packed([(".", b"x")]), "zip", ".", "unsafe_path"),
    "soft-link": (
        tar_of_kind("a.jpg", tarfile.SYMTYPE, "/etc/passwd"),
        "tar",
        "a.jpg",
        "unsafe_path",
    ),
    "hard-link": (tar_of_kind("a.jpg", tarfile.LNKTYPE, "b.jpg"), "tar", "a.jpg", "unsafe_path"),
    "device": (tar_of_kind("a.jpg", tarfile.CHRTYPE), "tar", "a.jpg", "unsafe_path"),
    "fifo": (tar_of_kind("a.jpg", tarfile.FIFOTYPE), "tar", "a.jpg", "unsafe_path"),
    "unknown-kind": (tar_of_kind("a.jpg", b"V"), "tar", "a.jpg", "unsafe_path"),
    "link-in-zip": (
        packed([("a.jpg", b"/etc/passwd")], mode=stat.S_IFLNK | 0o777),
        "zip",
        "a.jpg",
        "unsafe_path",
    ),
    "not-utf-8": (tar([("q\udcff.jpg", b"x")]), "tar", "q\\xff.jpg", "unsafe_path"),
    "encrypted": (with_flags(ONE, 1), "zip", "1.jpg", "unreadable"),
    "bzip2": (packed([("1.jpg", b"1")], method=zipfile.ZIP_BZIP2), "zip", "1.jpg", "unreadable"),
    "two-names": (ONE.replace(b"1.jpg", b"2.jpg", 1), "zip", "1.jpg", "unreadable"),
    "sparse": (tar_of_kind("a.jpg", tarfile.GNUTYPE_SPARSE), "tar", "a.jpg", "unreadable"),
    "sparse-pax": (
        tar([("a.jpg", b"x")], kind=tarfile.PAX_FORMAT, pax_headers={"GNU.sparse.major": "1"}),
        "tar",
        "a.jpg",
        "unreadable",
    ),
}


@pytest.mark.parametrize(("content", "kind", "name", "reason"), FAULTS.values(), ids=FAULTS)
def test_what_cannot_be_trusted_is_listed_with_its_fault_and_never_read(
    tmp_path, content, kind, name, reason
):
    archive = write(tmp_path, content, f"a.{kind}")
    ((found, fault),) = listed(archive).items()
    assert (found, fault[0]) == (name, reason)
    assert fault[0] in REASONS
    assert fault[1]
    with pytest.raises(RawFault, match="no such member"):
        archive.read(name, LIMIT)


def test_a_name_twice_is_not_read(tmp_path):
    archive = write(tmp_path, tar([("a", b"1"), ("./a", b"2")]), "a.tar")
    with pytest.raises(RawFault, match="a name twice"):
        archive.read("a", LIMIT)


def test_a_name_of_a_zip_without_the_flag_of_utf_8(tmp_path):
    for raw, name in ((b"caf\x82", "caf\u00e9"), ("caf\u00e9".encode(), "caf\u00e9")):
        old = b"x" * len(raw)
        archive = write(tmp_path, packed([(old.decode(), b"1")]).replace(old, raw), "a.zip")
        assert listed(archive) == {name: None}


PLAIN_TAR, PLAIN_ZIP = FORMATS["gnu"](), ZIPS["deflated"]()
TRUE_END = len(PLAIN_TAR.rstrip(b"\0")) // 512 * 512 + 512


def test_a_tar_that_was_cut_anywhere_is_refused_with_the_byte(tmp_path):
    for size in [*range(0, TRUE_END + 1, 512), 100, 700, TRUE_END - 1]:
        with pytest.raises(DataError, match=rf"a\.tar: is cut or corrupt at byte {size}: it") as e:
            listed(write(tmp_path, PLAIN_TAR[:size], "a.tar"))
        assert e.value.exit_code == 3
    assert len(listed(write(tmp_path, PLAIN_TAR[: TRUE_END + 512], "a.tar"))) == len(CONTENTS)


def test_a_zip_that_was_cut_anywhere_is_refused(tmp_path):
    for size in range(0, len(PLAIN_ZIP), 23):
        with pytest.raises(
            DataError, match=rf"a\.zip: is cut or corrupt at byte {size}: it has no"
        ):
            listed(write(tmp_path, PLAIN_ZIP[:size], "a.zip"))


def damaged(content, at, value=0xFF):
    return content[:at] + bytes([content[at] ^ value]) + content[at + 1 :]


DIRECTORY = PLAIN_ZIP.index(b"PK\x01\x02")
CORRUPT = {
    "tar-header": (damaged(PLAIN_TAR, 3), "tar", "at byte 0: a header with a wrong checksum"),
    "tar-second-header": (damaged(PLAIN_TAR, 1030), "tar", "at byte 1024: a header with a wrong"),
    "tar-is-html": (b"<!DOCTYPE html><html>404".ljust(600), "tar", "it looks like an HTML page"),
    "zip-is-html": (b"<!DOCTYPE html><html>404", "zip", "it looks like an HTML page"),
    "zip-no-local-header": (damaged(PLAIN_ZIP, 0), "zip", "at byte 0: no header of 'cat/1.jpg'"),
    "zip-directory": (damaged(PLAIN_ZIP, DIRECTORY), "zip", f"byte {DIRECTORY}: its directory"),
    "zip-directory-size": (damaged(PLAIN_ZIP, len(PLAIN_ZIP) - 9), "zip", "a directory that"),
    "zip-count": (damaged(PLAIN_ZIP, len(PLAIN_ZIP) - 12, 1), "zip", "has more than it says"),
    "zip-offset": (damaged(PLAIN_ZIP, DIRECTORY + 44, 0x7F), "zip", "said to lie there"),
    "zip-stored-size": (damaged(PLAIN_ZIP, DIRECTORY + 22, 0x7F), "zip", "said to lie there"),
    "tar-gz": (b"\x1f\x8b\x08" + bytes(99), "tar", "must not be compressed as a whole"),
    "joined": (PLAIN_TAR + PLAIN_TAR, "tar", "goes on after its end, at byte"),
}


@pytest.mark.parametrize(("content", "kind", "message"), CORRUPT.values(), ids=CORRUPT)
def test_a_corrupt_archive_is_an_error_that_names_it(tmp_path, content, kind, message):
    with pytest.raises(DataError, match=message) as caught:
        listed(write(tmp_path, content, f"a.{kind}"))
    assert str(caught.value).startswith(f"{tmp_path}/a.{kind}: ")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["a.tar.gz", "a.TGZ", "a.tar.bz2", "a.tar.xz", "a.tar.zst"])
def test_a_compressed_tar_is_refused_by_its_name(tmp_path, name):
    with pytest.raises(DataError, match=r"must not be compressed.*\(unpack it to a plain \.tar"):
        is_archive(tmp_path / name)


def test_names_of_archives(tmp_path):
    found = [is_archive(tmp_path / name) for name in ("a.tar", "A.ZIP", "a.jpg", "zip", "tar.gz")]
    assert found == [True, True, False, False, False]


def test_a_bomb_is_refused_by_its_header_and_while_it_is_unpacked(tmp_path):
    bomb = packed([("1.jpg", bytes(5_000_000))])
    with pytest.raises(RawFault, match="too_large: a member of 5000000 bytes"):
        write(tmp_path, bomb, "a.zip").read("1.jpg", LIMIT)
    at = bomb.index(b"PK\x01\x02") + 24
    liar = bomb[:at] + struct.pack("<I", 1000) + bomb[at + 4 :]
    archive = write(tmp_path, liar, "b.zip")
    tracemalloc.start()
    with pytest.raises(RawFault, match="damaged: it unpacks to more than the 1000 bytes"):
        archive.read("1.jpg", LIMIT)
    assert tracemalloc.get_traced_memory()[1] < 300_000
    tracemalloc.stop()
    with pytest.raises(RawFault, match="too_large: a member of 2000 bytes"):
        write(tmp_path, tar([("1.jpg", bytes(2000))]), "a.tar").read("1.jpg", 1999)


def test_damage_to_one_member_costs_that_one(tmp_path):
    content = packed([("1.jpg", b"1" * 99), ("2.jpg", b"2" * 99)])
    archive = write(tmp_path, damaged(content, 30 + 5 + 1), "a.zip")
    with pytest.raises(RawFault) as caught:
        archive.read("1.jpg", LIMIT)
    assert caught.value.reason == "damaged"
    assert archive.read("2.jpg", LIMIT) == b"2" * 99
    stored = packed([("1.jpg", b"1" * 99)], method=zipfile.ZIP_STORED)
    with pytest.raises(RawFault, match="its checksum in the archive is another"):
        write(tmp_path, damaged(stored, 40), "b.zip").read("1.jpg", LIMIT)


def test_random_archives_read_as_they_were_written(tmp_path):
    rng = np.random.default_rng(3)
    letters = [*"ab/.\\ \u00e9\u732b-_", "x" * 40]
    for round_ in range(30):
        names = {"".join(rng.choice(letters, 1 + round_ % 9)) + f"{n}.jpg" for n in range(6)}
        members = [(name, rng.bytes(int(rng.integers(0, 1500)))) for name in sorted(names)]
        for kind in (tarfile.GNU_FORMAT, tarfile.PAX_FORMAT):
            check(write(tmp_path, tar(members, kind=kind), "a.tar"), members)
        check(write(tmp_path, packed(members), "a.zip"), members)


def check(archive, members):
    found = list(archive.members())
    assert len(found) == len(members)
    names = [member.path for member in found]
    for member, (_, content) in zip(found, members, strict=True):
        if member.fault is None and names.count(member.path) == 1:
            assert archive.read(member.path, LIMIT) == content


def test_listing_many_members_takes_no_more_memory_than_one_at_a_time(tmp_path):
    members = [(f"cat/{number:07}.jpg", b"x") for number in range(20_000)]
    for name, content in (("a.tar", tar(members)), ("a.zip", packed(members))):
        archive = write(tmp_path, content, name)
        tracemalloc.start()
        assert sum(1 for _ in archive.members()) == 20_000
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < 4_000_000, name
        assert archive.read("cat/0019999.jpg", LIMIT) == b"x"


def test_a_pipe_and_a_folder_are_no_archives(tmp_path):
    os.mkfifo(tmp_path / "a.tar")
    (tmp_path / "b.tar").mkdir()
    for name in ("a.tar", "b.tar"):
        with pytest.raises(DataError, match="must be a regular file"):
            Archive(tmp_path / name)


def test_an_archive_closes_its_file(tmp_path):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        archive = write(tmp_path, PLAIN_TAR, "a.tar")
        descriptor = archive._source._descriptor
        del archive
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(descriptor)
