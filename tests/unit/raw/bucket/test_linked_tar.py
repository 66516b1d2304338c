"""A tar in a bucket is read by few requests and few bytes; what is known of it is kept."""

import io
import tarfile

import numpy as np
import pytest

from pipeline.forgetting.edits import plan_edits
from pipeline.ground.errors import DataError
from pipeline.raw.archive.archive import Archive, RawFault
from pipeline.raw.archive.io import Source
from pipeline.raw.bucket.members import KEPT, keep_ids, kept_ids
from pipeline.raw.bucket.pointer import POINTER, Bucket, Linked, read_bucket, write_bucket
from pipeline.raw.bucket.tar import LinkedTar
from pipeline.raw.folder import look_at

FILE = Linked("s3://b/a.tar", 1, "tag", None)


class Counted(Source):
    """Bytes in memory that count how they are read."""

    def __init__(self, content):
        self.where, self.size_bytes, self.content = "s3://b/a.tar", len(content), content
        self.asked = []

    def read(self, offset, length):
        self.asked.append(min(length, self.size_bytes - offset))
        return self.content[offset : offset + length]


def packed(sizes):
    """Give a tar with members of these sizes, and their bytes by path."""
    generator = np.random.default_rng(1)
    members = {f"c/{number:04}{'n' * 120}": generator.bytes(n) for number, n in enumerate(sizes)}
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w", format=tarfile.GNU_FORMAT) as archive:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return stream.getvalue(), members


@pytest.fixture(autouse=True)
def _own_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize(("size", "most", "few"), [(200_000, 42, 100_000), (3_000, 3, 200_000)])
def test_headers_are_listed_once_by_few_bytes_or_few_requests(tmp_path, size, most, few):
    content, _ = packed([size] * 40)
    (tmp_path / "a.tar").write_bytes(content)
    source = Counted(content)
    found = list(LinkedTar(FILE, source).members())
    assert found == list(Archive(tmp_path / "a.tar").members())
    assert len(source.asked) <= most
    assert sum(source.asked) < few
    source.asked.clear()
    assert list(LinkedTar(FILE, source).members()) == found
    assert not source.asked


def test_expected_neighbors_come_together_and_others_alone():
    content, members = packed([10_000] * 64)
    source = Counted(content)
    list(LinkedTar(FILE, source).members())
    tar, paths = LinkedTar(FILE, source), list(members)
    source.asked.clear()
    tar.expect([*paths[8:40], "not there"])
    assert [tar.read(each, 1 << 20) for each in paths[8:40]] == [members[p] for p in paths[8:40]]
    assert len(source.asked) == 1
    assert sum(source.asked) < 32 * 12_600
    source.asked.clear()
    assert tar.read(paths[2], 1 << 20) == members[paths[2]]
    assert source.asked == [10_000]
    source.asked.clear()
    with pytest.raises(RawFault, match="too_large"):
        tar.read(paths[3], 9_999)
    assert not source.asked


def test_large_neighbors_are_read_in_bounded_spans():
    content, members = packed([1_500_000] * 6)
    source = Counted(content)
    tar = LinkedTar(FILE, source)
    list(tar.members())
    tar.expect(members)
    source.asked.clear()
    assert all(tar.read(path, 1 << 24) == each for path, each in members.items())
    assert len(source.asked) == 3
    assert max(source.asked) <= 4 << 20


def test_what_is_kept_of_a_tar_is_of_that_version_and_damage_is_no_harm():
    content, _ = packed([100, 200])
    found = list(LinkedTar(FILE, Counted(content)).members())
    other = Counted(content)
    list(LinkedTar(Linked("s3://b/a.tar", 1, "another tag", None), other).members())
    assert other.asked
    for path in KEPT.iterdir():
        path.write_bytes(path.read_bytes()[:-10])
    again = Counted(content)
    assert list(LinkedTar(FILE, again).members()) == found
    assert again.asked
    keep_ids(FILE, {"a": "1"})
    keep_ids(FILE, {"b": "2"})
    assert kept_ids(FILE) == {"a": "1", "b": "2"}


def test_the_pointer_comes_back_and_another_file_is_refused(tmp_path):
    tars = {"a.tar": FILE, "x/b.tar": Linked("s3://b/x/b.tar", 7, "t", "v1")}
    write_bucket(tmp_path, Bucket("s3://b", tars, {}))
    assert read_bucket(tmp_path) == Bucket("s3://b", tars, {})
    for text in ("[]", '{"url": "s3://b", "tars": {"a.tar": {}}, "copies": {}}'):
        (tmp_path / POINTER).unlink()
        (tmp_path / POINTER).write_text(text)
        with pytest.raises(DataError, match="rootstock data link"):
            read_bucket(tmp_path)


def test_what_cannot_work_on_a_bucket_says_so(tmp_path):
    write_bucket(tmp_path, Bucket("s3://b", {"a.tar": FILE}, {}))
    with pytest.raises(DataError, match="names tars in a bucket, which are not looked into"):
        look_at(tmp_path, opens=lambda _: False)
    with pytest.raises(DataError, match="nothing is cut out of a bucket"):
        plan_edits(tmp_path, ["a.tar/c/1.png"], [])
    (tmp_path / "a.tar").write_bytes(b"")
    with pytest.raises(DataError, match=r"lies here and at s3://b/a\.tar"):
        look_at(tmp_path)
