"""Raw data as tars in a bucket give the bytes of the same tars in a folder, and say what fails."""

import io
import shutil
import tarfile
from multiprocessing.forkserver import _forkserver

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image
from s3fs import S3FileSystem

from pipeline.cli import main
from pipeline.ground.files import read_json, sha256_file, write_json
from pipeline.raw.bucket.pointer import POINTER
from pipeline.raw.bucket.reading import open_linked
from tests.support.servers import KEYS, s3_server
from tests.support.staged import remember, run_clean, run_transform, write_params
from tests.support.wire import wire_to

URL = "s3://pictures/cells"
SIDE = 48
SAME = ["manifest.parquet", "report.json", "near_duplicates.parquet", "probes.parquet"]


def picture(seed):
    pixels = np.random.default_rng(seed).integers(0, 256, (SIDE, SIDE, 3), dtype=np.uint8)
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "PNG")
    return stream.getvalue()


def tar_of(members):
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as archive:
        for name, content in sorted(members.items()):
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return stream.getvalue()


def cells(first, count):
    """Give the members of a tar: two classes, a long name, a picture that is cut off."""
    members = {
        f"{label}/{number:03}.png": picture(2 * (first + number) + at)
        for number in range(count)
        for at, label in enumerate(("cracked", "sound"))
    }
    if first == 0:
        members["sound/" + "n" * 150 + ".png"] = picture(99_000)
        members["sound/cut.png"] = picture(99_001)[:700]
    return members


MEMBERS = {"shards/a.tar": cells(0, 30), "shards/b.tar": cells(1000, 30)}
TARS = {name: tar_of(members) for name, members in MEMBERS.items()}


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    """Give a client of an S3 server, and the wire that others take to it."""
    with (
        s3_server(tmp_path_factory.mktemp("s3"), []) as (url, client),
        wire_to(int(url.rpartition(":")[2])) as wire,
    ):
        yield client, wire


@pytest.fixture
def bucket(served, monkeypatch, tmp_path):
    """Give the client and the wire; the bucket keeps versions and holds two tars."""
    client, wire = served
    for name, value in (KEYS | {"AWS_ENDPOINT_URL": f"http://127.0.0.1:{wire.port}"}).items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.chdir(tmp_path)
    write_params(tmp_path)
    (tmp_path / "dvc.yaml").write_text("stages: {}")
    _forkserver._stop()  # what earlier tests started has another environment
    client.create_bucket(Bucket="pictures")
    keep = {"Status": "Enabled"}
    client.put_bucket_versioning(Bucket="pictures", VersioningConfiguration=keep)
    for name, content in TARS.items():
        put(client, name, content)
    wire.clear()
    yield client, wire
    _forkserver._stop()
    open_linked.cache_clear()
    S3FileSystem.clear_instance_cache()
    for each in client.list_object_versions(Bucket="pictures").get("Versions", []):
        client.delete_object(Bucket="pictures", Key=each["Key"], VersionId=each["VersionId"])
    client.delete_bucket(Bucket="pictures")


def put(client, name, content):
    client.put_object(Bucket="pictures", Key=f"cells/{name}", Body=content)


def linked(folder, url=URL):
    """Link the bucket as a user does; give the exit code."""
    folder.mkdir(exist_ok=True)
    return main(["data", "link", url, str(folder / "raw")])


def local(folder, tars):
    for name, content in tars.items():
        path = folder / "raw" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


def built(folder, **sections):
    """Give the SHA-256 of all that two stages make of a folder."""
    assert run_clean(folder, **sections) == 0
    assert run_transform(folder) == 0
    files = [*(folder / "out" / name for name in SAME), *sorted((folder / "out/store").iterdir())]
    return {path.name: sha256_file(path) for path in files}


def last_line(capsys):
    return capsys.readouterr().err.strip().splitlines()[-1]


def test_a_bucket_gives_the_bytes_of_a_folder_and_a_new_tar_costs_its_own(bucket, tmp_path, capsys):
    client, wire = bucket
    local(tmp_path / "here", TARS)
    assert linked(tmp_path / "there") == 0
    assert "2 tars at s3://pictures/cells" in capsys.readouterr().out
    assert not any(path.suffix == ".tar" for path in (tmp_path / "there").rglob("*"))
    wire.clear()
    expected = built(tmp_path / "here")
    assert not wire.requests
    assert built(tmp_path / "there") == expected
    size = sum(map(len, TARS.values()))
    assert wire.bytes < 3.3 * size  # headers lie near each other here: listed, seen, encoded
    assert len(wire.requests) < 122 / 2  # neighbors come together

    remember(tmp_path / "there")
    more = {"shards/c.tar": tar_of(cells(2000, 2))}
    put(client, "shards/c.tar", more["shards/c.tar"])
    assert linked(tmp_path / "there") == 0
    assert "1 new, 0 changed, 0 gone" in capsys.readouterr().out
    local(tmp_path / "here", more)
    wire.clear()
    open_linked.cache_clear()
    assert built(tmp_path / "there") == built(tmp_path / "here")
    assert any("/shards/c.tar" in each for each in wire.requests)
    old = [each for each in wire.requests if "GET" in each and "c.tar" not in each]
    assert len(old) <= 30  # examples on the report's page
    assert wire.bytes < 8 * len(more["shards/c.tar"])


def test_a_label_file_comes_along_and_replaces_none_of_the_user(bucket, tmp_path):
    client, _ = bucket
    names = [f"{tar}/{name}" for tar, members in MEMBERS.items() for name in members]
    text = "path,label\n" + "".join(f"{name},{number % 2}\n" for number, name in enumerate(names))
    put(client, "labels.csv", text.encode())
    assert linked(tmp_path / "there") == 0
    assert (tmp_path / "there/raw/labels.csv").read_text() == text
    local(tmp_path / "here", TARS | {"labels.csv": text.encode()})
    for each in ("here", "there"):
        assert run_clean(tmp_path / each) == 0
    here, there = (
        pq.read_table(tmp_path / f"{each}/out/manifest.parquet") for each in ("here", "there")
    )
    assert here.equals(there)
    assert here.num_rows == 122

    (tmp_path / "there/raw" / POINTER).unlink()
    (tmp_path / "there/raw/labels.csv").write_text("mine")
    assert linked(tmp_path / "there") == 3


@pytest.mark.slow
def test_an_older_version_is_read_and_a_changed_object_is_refused(bucket, tmp_path, capsys):
    client, _ = bucket
    assert linked(tmp_path / "there") == 0
    expected = built(tmp_path / "there")
    put(client, "shards/a.tar", tar_of(cells(5000, 30)))
    shutil.rmtree(tmp_path / "there/.rootstock")
    open_linked.cache_clear()
    assert built(tmp_path / "there") == expected  # the bucket keeps the version

    pointer = tmp_path / "there/raw" / POINTER
    told = read_json(pointer)
    for each in told["tars"].values():
        each["version"] = None
    pointer.unlink()
    write_json(pointer, told)
    open_linked.cache_clear()
    capsys.readouterr()
    assert run_clean(tmp_path / "there") == 5
    assert "s3://pictures/cells/shards/a.tar: has changed since it was linked" in last_line(capsys)


def test_a_deleted_object_is_named(bucket, tmp_path, capsys):
    client, _ = bucket
    assert linked(tmp_path / "there") == 0
    version = read_json(tmp_path / "there/raw" / POINTER)["tars"]["shards/a.tar"]["version"]
    client.delete_object(Bucket="pictures", Key="cells/shards/a.tar", VersionId=version)
    capsys.readouterr()
    assert run_clean(tmp_path / "there") == 5
    assert "cells/shards/a.tar: is gone since it was linked" in last_line(capsys)


@pytest.mark.slow
def test_lost_connections_are_made_again_and_a_dead_server_is_named(bucket, tmp_path, capsys):
    _, wire = bucket
    assert linked(tmp_path / "there") == 0
    wire.drop = 2
    open_linked.cache_clear()
    S3FileSystem.clear_instance_cache()
    assert run_clean(tmp_path / "there") == 0
    shutil.rmtree(tmp_path / "there/.rootstock")
    shutil.rmtree(tmp_path / "there/out")
    open_linked.cache_clear()
    S3FileSystem.clear_instance_cache()
    wire.clear()
    wire.cut_after = len(TARS["shards/a.tar"]) // 2
    capsys.readouterr()
    assert run_clean(tmp_path / "there") == 4
    assert "cannot be read, after several tries" in last_line(capsys)
    assert not (tmp_path / "there/out").exists()
    wire.clear()
    open_linked.cache_clear()
    S3FileSystem.clear_instance_cache()
    assert run_clean(tmp_path / "there") == 0


def test_who_has_no_keys_is_told(bucket, tmp_path, capsys, monkeypatch):
    for name in KEYS:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert linked(tmp_path / "there") == 4
    line = last_line(capsys)
    assert "s3://pictures/cells: it refuses us" in line
    assert "AWS_ACCESS_KEY_ID" in line


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("c.tar.gz", b"\x1f\x8b\x08" + bytes(600), "must not be compressed as a whole"),
        ("c.zip", b"PK", "are read from .tar files alone"),
        ("cracked/1.png", picture(1), "are read from .tar files alone"),
    ],
)
def test_what_is_no_plain_tar_is_refused_when_it_is_linked(
    bucket, tmp_path, capsys, name, content, told
):
    client, _ = bucket
    put(client, name, content)
    assert linked(tmp_path / "there") == 3
    assert told in last_line(capsys)
    assert not (tmp_path / "there/raw").exists()


def test_a_cut_and_a_disguised_tar_stop_the_stage(bucket, tmp_path, capsys):
    client, _ = bucket
    for content, told in (
        (TARS["shards/a.tar"][:-20_000], "c.tar: is cut or corrupt at byte"),
        (b"\x1f\x8b\x08" + bytes(600), "c.tar: must not be compressed as a whole"),
    ):
        put(client, "shards/c.tar", content)
        assert linked(tmp_path / "there") == 0
        capsys.readouterr()
        assert run_clean(tmp_path / "there") == 3
        assert told in last_line(capsys)


def test_a_bucket_or_a_tar_that_is_not_there_is_named(bucket, tmp_path, capsys):
    assert linked(tmp_path / "there", "s3://nobody/has/this") == 3
    assert "there is no such bucket" in last_line(capsys)
    assert linked(tmp_path / "there", "s3://pictures/empty") == 3
    assert "there is no .tar" in last_line(capsys)
    assert linked(tmp_path / "there", "gs://pictures") == 2
