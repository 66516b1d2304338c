"""What would hang DVC, kill it, or make it copy foreign files is refused before DVC meets it."""

import os

import pytest

from pipeline.data.guard import refuse_unsafe_entries
from pipeline.errors import DataError


def test_ordinary_folders_and_missing_ones_pass(tmp_path):
    refuse_unsafe_entries(tmp_path / "nowhere")
    (tmp_path / "deep" / "er").mkdir(parents=True)
    (tmp_path / "deep" / "er" / "é \n.png").write_bytes(b"x")
    (tmp_path / "link.png").symlink_to(tmp_path / "deep" / "er" / "é \n.png")
    refuse_unsafe_entries(tmp_path)


def outward(folder):
    (folder / "bad").symlink_to("/etc/hostname")


def dangling(folder):
    (folder / "bad").symlink_to(folder / "nothing")


def fifo(folder):
    os.mkfifo(folder / "bad")


def undecodable(folder):
    (folder / os.fsdecode(b"bad\xff")).write_bytes(b"x")


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (outward, "a link that leaves the data folder"),
        (dangling, "a link to nothing"),
        (fifo, "a FIFO"),
        (undecodable, r"bad\\xff: must not be named in bytes that are not UTF-8"),
    ],
    ids=["outward", "dangling", "fifo", "undecodable"],
)
def test_unsafe_entries_are_named(tmp_path, make, message):
    (tmp_path / "deep").mkdir()
    make(tmp_path / "deep")
    with pytest.raises(DataError, match=message) as caught:
        refuse_unsafe_entries(tmp_path)
    assert str(caught.value).isprintable()


def test_a_link_to_an_outer_folder_is_not_followed(tmp_path):
    (tmp_path / "raw").mkdir()
    (tmp_path / "raw" / "more").symlink_to(tmp_path)
    with pytest.raises(DataError, match="leaves the data folder"):
        refuse_unsafe_entries(tmp_path / "raw")
