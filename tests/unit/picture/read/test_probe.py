"""One look at a file tells what it is or why not, and never harms the one who looks."""

import hashlib
import os
import pickle

import numpy as np
from PIL import Image

from pipeline.clean.probe_all import probe_all
from pipeline.clean.probe_item import probe_item
from pipeline.compute.engine import MachineParams
from pipeline.modality.types.probe import Probe
from pipeline.picture.read.probe import NOTES, Limits
from pipeline.picture.read.thumbnail import thumbnail
from tests.support.powerless import runs_elsewhere
from tests.support.rawfolder import save_picture

LIMITS = Limits(max_pixels=10_000, animated="first")


def test_a_picture_is_described(tmp_path):
    path = save_picture(tmp_path / "a/1.png", 1, size=(12, 10))
    probe = probe_item(tmp_path, LIMITS, "a/1.png")
    assert probe.id == hashlib.sha256(path.read_bytes()).hexdigest()
    assert probe.facts == (12, 10, "RGB", "PNG")
    assert (probe.reason, probe.notes) == (None, ())
    assert len(probe.content_hash) == 64
    with Image.open(path) as picture:
        assert probe.sketch == thumbnail(np.asarray(picture)).tobytes()


def test_pixels_are_hashed_and_not_bytes(tmp_path):
    save_picture(tmp_path / "1.png", 1)
    save_picture(tmp_path / "2.png", 1, compress_level=0)
    save_picture(tmp_path / "3.bmp", 1)
    save_picture(tmp_path / "4.png", 2)
    probes = [probe_item(tmp_path, LIMITS, name) for name in ("1.png", "2.png", "3.bmp", "4.png")]
    assert len({probe.id for probe in probes}) == 4
    assert probes[0].content_hash == probes[1].content_hash == probes[2].content_hash
    assert probes[3].content_hash != probes[0].content_hash


def test_shape_and_mode_belong_to_the_pixels(tmp_path):
    for name, shape in (("1", (2, 8)), ("2", (4, 4)), ("3", (2, 2, 4))):
        Image.fromarray(np.zeros(shape, np.uint8)).save(tmp_path / f"{name}.png")
    hashes = {probe_item(tmp_path, LIMITS, f"{name}.png").content_hash for name in "123"}
    assert len(hashes) == 3


def test_notes(tmp_path):
    Image.new("RGB", (9, 9), (1, 2, 3)).save(tmp_path / "flat.jpg", "PNG")
    probe = probe_item(tmp_path, LIMITS, "flat.jpg")
    assert (probe.notes, probe.facts[3]) == (("constant", "other_extension"), "PNG")
    pixels = np.zeros((9, 9), np.uint8)
    pixels[8, 8] = 200
    Image.fromarray(pixels).save(tmp_path / "dot.png")
    assert probe_item(tmp_path, LIMITS, "dot.png").notes == ()
    assert set(probe.notes) <= set(NOTES)


def test_an_unknown_extension_promises_nothing(tmp_path):
    save_picture(tmp_path / "1", 1, format="PNG")
    assert probe_item(tmp_path, LIMITS, "1").notes == ()


def test_a_link_inside_is_read_and_one_outside_is_not(tmp_path):
    save_picture(tmp_path / "raw/1.png", 1)
    save_picture(tmp_path / "2.png", 2)
    (tmp_path / "raw/in.png").symlink_to("1.png")
    (tmp_path / "raw/out.png").symlink_to(tmp_path / "2.png")
    assert probe_item(tmp_path / "raw", LIMITS, "in.png").reason is None
    assert probe_item(tmp_path / "raw", LIMITS, "out.png") == Probe(
        reason="unsafe_path", detail="a link that leaves the data folder"
    )


def test_a_pipe_is_not_waited_for_and_a_folder_is_no_file(tmp_path):
    os.mkfifo(tmp_path / "pipe.png")
    (tmp_path / "folder.png").mkdir()
    assert probe_item(tmp_path, LIMITS, "pipe.png").reason == "unsafe_path"
    assert probe_item(tmp_path, LIMITS, "folder.png").reason == "unsafe_path"


def test_a_file_that_went_away_is_unreadable(tmp_path):
    probe = probe_item(tmp_path, LIMITS, "gone.png")
    assert (probe.reason, probe.detail) == ("unreadable", "No such file or directory")


def test_a_file_without_permission_is_unreadable(tmp_path, request):
    if runs_elsewhere(request):
        return
    save_picture(tmp_path / "1.png", 1).chmod(0)
    assert probe_item(tmp_path, LIMITS, "1.png").reason == "unreadable"


def test_a_huge_file_is_hashed_and_not_loaded(tmp_path):
    with (tmp_path / "1.png").open("wb") as stream:
        stream.truncate((64 << 20) + 16 * LIMITS.max_pixels + 1)
    probe = probe_item(tmp_path, LIMITS, "1.png")
    assert probe.reason == "too_large"
    assert len(probe.id) == 64
    assert probe.detail == "a file of 67268865 bytes"


def test_many_processes_and_one_see_the_same_in_the_same_order(tmp_path):
    names = [f"{number}.png" for number in range(12)]
    for number, name in enumerate(names):
        save_picture(tmp_path / name, number)
    (tmp_path / "5.png").write_bytes(b"<html>")
    one, two = (
        list(probe_all(tmp_path, names, LIMITS, MachineParams.alone(workers=n, progress="none")))
        for n in (1, 2)
    )
    assert one == two
    assert [probe.reason for probe in one].index("not_image") == 5
    assert len({probe.id for probe in one}) == 12
    assert pickle.loads(pickle.dumps(one)) == one
