"""A decoder that crashes, hangs or takes all memory costs its file alone, and the file is told."""

import hashlib
import os
import signal
import time
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
from PIL import Image

from pipeline.clean.probe_all import lost_probe, probe_all
from pipeline.clean.probe_item import probe_item
from pipeline.compute.engine import Lost, MachineParams, map_in_order
from pipeline.manifest.manifest import reasons
from pipeline.picture.read.limits import item_limits
from pipeline.picture.read.probe import Limits
from tests.support.packed import pack_folder
from tests.support.rawfolder import save_picture

REASONS = reasons("picture")

LIMITS = Limits(10_000, "first")
ATTACKS = {"3.png": "segfault", "5.png": "hang", "8.png": "allocate", "11.png": "segfault"}


def attacked_probe(raw, limits, path):
    """Probe as the stage does, in a decoder that some files have in their hands."""
    attack = ATTACKS.get(path.rpartition("/")[2])
    if attack == "segfault":
        os.kill(os.getpid(), signal.SIGSEGV)
    elif attack == "hang":
        time.sleep(60)
    elif attack == "allocate":
        np.ones(1 << 29)
    return probe_item(raw, limits, path)


@pytest.mark.parametrize(("workers", "prefix"), [(1, ""), (2, ""), (2, "a.zip/")])
def test_an_attack_costs_its_file(tmp_path, workers, prefix):
    names = [f"{number}.png" for number in range(12)]
    for number, name in enumerate(names):
        save_picture(tmp_path / "loose" / name, number)
    raw = tmp_path / "loose"
    if prefix:
        pack_folder(raw, tmp_path / "raw/a.zip")
        raw = tmp_path / "raw"
    usual = item_limits(LIMITS.max_pixels)
    probes = list(
        map_in_order(
            partial(attacked_probe, raw, LIMITS),
            [prefix + name for name in names],
            MachineParams.alone(workers=workers, progress="none"),
            title="clean",
            limits=replace(usual, seconds=1.0),
            lost=partial(lost_probe, raw, LIMITS),
        )
    )
    details = {
        "segfault": ("decoder_crashed", "ended by SIGSEGV"),
        "hang": ("decoder_hung", "no answer within 1 s"),
        "allocate": ("decoder_crashed", f"needs more than {usual.memory} bytes of memory"),
    }
    for name, probe in zip(names, probes, strict=True):
        content = (tmp_path / "loose" / name).read_bytes()
        assert probe.id == hashlib.sha256(content).hexdigest()
        if name in ATTACKS:
            assert (probe.reason, probe.detail) == details[ATTACKS[name]]
            assert probe.reason in REASONS
        else:
            assert probe == probe_item(raw, LIMITS, prefix + name)


def test_the_limits_leave_room_for_the_largest_picture_that_passes(tmp_path):
    side = 4000
    limits = Limits(side * side, "first")
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (side // 8, side // 8, 4), np.uint8).repeat(8, 0).repeat(8, 1)
    Image.fromarray(pixels).save(tmp_path / "alpha.png", compress_level=1)
    Image.fromarray(pixels[..., :3]).save(tmp_path / "color.tif")
    gray = pixels[..., 0].astype(np.uint16) * 257
    Image.fromarray(gray).save(tmp_path / "gray16.tif")
    Image.fromarray(pixels[..., :3]).save(tmp_path / "turned.jpg", exif=exif_of(6))
    names = ["alpha.png", "color.tif", "gray16.tif", "turned.jpg"]
    machine = MachineParams.alone(workers=2, progress="none")
    probes = list(probe_all(tmp_path, names, limits, machine))
    assert [probe.reason for probe in probes] == [None] * 4
    needed = item_limits(limits.max_pixels).memory - item_limits(0).memory
    assert needed >= 60 * side * side


def exif_of(turn):
    exif = Image.Exif()
    exif[0x0112] = turn
    return exif


def test_a_lost_file_that_is_gone_by_now_is_unreadable(tmp_path):
    probe = lost_probe(tmp_path, LIMITS, "gone.png", Lost("crashed", "ended by SIGSEGV"))
    assert (probe.id, probe.reason) == (None, "unreadable")
