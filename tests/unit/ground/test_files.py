"""Files appear whole or not at all, and equal content gives equal bytes."""

import errno
import hashlib
import os
from pathlib import Path

import pandas as pd
import pytest

from pipeline.ground import locks
from pipeline.ground.errors import DataError, IntegrityError
from pipeline.ground.files import (
    canonical_json,
    link_file,
    md5_file,
    read_json,
    replacing,
    replacing_folder,
    sha256_file,
    target_fault,
    write_json,
    write_rows,
)
from pipeline.ground.tables import read_table, write_table

DEAD_PID = 2**22 + 1


def test_an_error_leaves_the_old_file_and_no_scratch(tmp_path):
    target = tmp_path / "a.txt"
    target.write_text("old", encoding="utf-8")
    with pytest.raises(RuntimeError), replacing(target) as scratch:
        scratch.write_text("half", encoding="utf-8")
        raise RuntimeError
    assert target.read_text(encoding="utf-8") == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["a.txt"]


def test_a_folder_is_replaced_as_a_whole(tmp_path):
    target = tmp_path / "out"
    for names in (["a", "b"], ["c"]):
        with replacing_folder(target) as folder:
            for name in names:
                (folder / name).write_text(name, encoding="utf-8")
    assert sorted(path.name for path in target.iterdir()) == ["c"]
    with pytest.raises(RuntimeError), replacing_folder(target) as folder:
        (folder / "d").write_text("d", encoding="utf-8")
        raise RuntimeError
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
    assert sorted(path.name for path in target.iterdir()) == ["c"]


def owner_of(*, pid=DEAD_PID, **changes):
    """Return the word for a process of this host, or of one that differs."""
    me = {**locks.this_process(), "pid": pid, **changes}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(locks, "this_process", lambda: me)
        return locks.owner()


def test_what_a_killed_writer_left_is_removed_and_a_live_one_is_not(tmp_path):
    alive = os.getppid()
    left = {
        "dead": owner_of(),
        "of before the host was started again": owner_of(pid=alive, boot="another"),
        "alive": owner_of(pid=alive),
        "of another host": owner_of(host="another"),
        "of another host, whose number lives here too": owner_of(host="another", pid=alive),
    }
    for what, word in left.items():
        (tmp_path / f".tmp-a.txt-{word}").write_text(what, encoding="utf-8")
    with replacing(tmp_path / "a.txt") as scratch:
        scratch.write_text("new", encoding="utf-8")
    assert {path.read_text() for path in tmp_path.iterdir()} == {*list(left)[2:], "new"}


@pytest.mark.parametrize("name", ["a", "a[1]", "a*", "a?"])
def test_what_writers_of_names_that_begin_alike_left_is_theirs(tmp_path, name):
    dead = owner_of()
    others = [tmp_path / f".tmp-{name}-1-onnx-{dead}", tmp_path / f".tmp-a1-{dead}"]
    own = tmp_path / f".tmp-{name}-{dead}"
    for folder in (*others, own):
        folder.mkdir()
    with replacing(tmp_path / name) as scratch:
        scratch.write_text("new", encoding="utf-8")
    assert sorted(tmp_path.iterdir()) == sorted([*others, tmp_path / name])


@pytest.mark.parametrize("write", [replacing, replacing_folder])
@pytest.mark.parametrize("target", ["", ".", "..", "out/.."])
def test_what_has_no_name_of_its_own_is_not_replaced(tmp_path, monkeypatch, write, target):
    (tmp_path / "out").mkdir()
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match="must end in a name"), write(Path(target)):
        pass
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_what_can_be_written_is_told_beforehand(tmp_path, monkeypatch):
    """A name may have 255 bytes: that of the scratch file, and of each folder on the way."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").touch()
    longest = "x" * (255 - len(f".tmp--{locks.owner()}"))
    for good in (longest, f"a/b/{longest}", "file", "a/../b"):
        assert target_fault(Path(good)) is None, good
    for bad in (f"{longest}x", f"a/b/{longest}x", f"a/{'x' * 256}/b", "file/b", "file/../b"):
        assert target_fault(Path(bad)) is not None, bad


def test_a_folder_is_flushed_before_it_has_its_name_but_not_what_is_linked(tmp_path, monkeypatch):
    (tmp_path / "object").write_bytes(b"rows")
    flushed, fsync = [], os.fsync

    def spy(descriptor):
        path = Path(f"/proc/self/fd/{descriptor}").readlink()
        flushed.append(path.relative_to(tmp_path).as_posix())
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", spy)
    with replacing_folder(tmp_path / "out") as folder:
        (folder / "inner").mkdir()
        (folder / "inner" / "a").write_text("a", encoding="utf-8")
        link_file(tmp_path / "object", folder / "b")
    assert sorted(flushed[:3]) == sorted(
        f"{folder.name}{rest}" for rest in ("", "/inner", "/inner/a")
    )
    assert flushed[3:] == ["."]


def test_canonical_json_has_one_form():
    assert canonical_json({"b": 1, "a": [1.5, "é"]}) == '{"a":[1.5,"\\u00e9"],"b":1}'
    with pytest.raises(ValueError, match="not JSON compliant"):
        canonical_json(float("nan"))


def test_tables_and_rows_have_stable_bytes(tmp_path):
    table = pd.DataFrame({"path": ["b", "a"], "x": [1.5, None]})
    for name in ("one", "two"):
        write_table(tmp_path / name, table)
        write_rows(tmp_path / f"{name}.csv", [{"x": 0.1}, {"x": 1e-7}], columns=["x"])
        write_json(tmp_path / f"{name}.json", {"b": 1, "a": "é"})
    assert sha256_file(tmp_path / "one") == sha256_file(tmp_path / "two")
    assert (tmp_path / "one.csv").read_bytes() == b"x\n0.1\n1e-07\n"
    assert (tmp_path / "one.json").read_bytes() == '{\n  "a": "é",\n  "b": 1\n}\n'.encode()
    pd.testing.assert_frame_equal(read_table(tmp_path / "one"), table)


def test_digests_are_those_of_the_bytes(tmp_path):
    path = tmp_path / "x"
    path.write_bytes(b"abc" * 1_000_000)
    assert md5_file(path) == hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest()
    assert sha256_file(path) == hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.mark.parametrize("read", [read_json, read_table], ids=["json", "table"])
def test_missing_and_damaged_files_are_told_apart(tmp_path, read):
    path = tmp_path / "x"
    with pytest.raises(DataError, match=r"no such file \(run `dvc repro`\)"):
        read(path)
    path.write_bytes(b"{")
    with pytest.raises(IntegrityError, match="dvc checkout"):
        read(path)


def test_a_link_is_the_same_file_through_a_link_to_it(tmp_path):
    (tmp_path / "object").write_bytes(b"rows")
    (tmp_path / "link").symlink_to(tmp_path / "object")
    link_file(tmp_path / "link", tmp_path / "shard")
    assert (tmp_path / "shard").samefile(tmp_path / "object")
    assert not (tmp_path / "shard").is_symlink()


def test_where_links_are_refused_the_bytes_are_copied(tmp_path, monkeypatch):
    def refuse(self, target):
        raise OSError(errno.EXDEV, "Invalid cross-device link")

    monkeypatch.setattr(Path, "hardlink_to", refuse)
    (tmp_path / "object").write_bytes(b"rows")
    link_file(tmp_path / "object", tmp_path / "shard")
    assert (tmp_path / "shard").read_bytes() == b"rows"
    assert not (tmp_path / "shard").samefile(tmp_path / "object")
