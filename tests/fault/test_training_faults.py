"""Whatever happens to a training process, what is written in the end is what would have been."""

import errno
import random
import re
import shutil
import signal
from dataclasses import replace

import pytest

from tests.support.trainable import make_sources
from tests.support.trainstage import finish, here, journal, kill_after, messages, outputs, workspace


@pytest.fixture(scope="module")
def sources(tmp_path_factory):
    return make_sources(tmp_path_factory.mktemp("faults"), items=60)


@pytest.mark.slow
def test_a_training_killed_again_and_again_writes_the_bytes_of_one_that_was_not(sources, tmp_path):
    changes = {"train": {"strategy": "full", "epochs": 40, "batch_norm": "batch"}}
    calm, stormy = (workspace(tmp_path / name, **changes) for name in ("calm", "stormy"))
    finish(calm, sources)
    chance = random.Random(0)
    for _ in range(3):
        process = kill_after(
            stormy, sources, more_epochs=chance.randint(3, 7), delay_s=chance.uniform(0.0, 0.05)
        )
        assert process.returncode == -signal.SIGKILL
    assert not (stormy / "out").exists()
    (checkpoints,) = (stormy / ".rootstock/checkpoints").iterdir()
    last = max(checkpoints.glob("*.json")).with_suffix(".safetensors")
    last.write_bytes(last.read_bytes()[:100])
    finish(stormy, sources)
    assert any(
        "a checkpoint is damaged, so the one before is taken" in line for line in messages(stormy)
    )
    assert outputs(stormy) == outputs(calm)
    starts = [event["first_epoch"] for event in journal(stormy) if event["kind"] == "start"]
    assert starts[0] == 1
    assert starts == sorted(set(starts))  # each went on, none started anew
    assert list((stormy / ".rootstock/checkpoints").iterdir()) == []


@pytest.mark.slow
def test_ctrl_c_ends_in_one_line_and_keeps_what_was_done(sources, tmp_path):
    folder = workspace(tmp_path / "w", train={"strategy": "full", "epochs": 200})
    process = kill_after(folder, sources, more_epochs=2, delay_s=0.01, how=signal.SIGINT)
    assert process.returncode == 130
    errors = messages(folder)
    assert errors[-1] == "error: train: stopped by SIGINT (run `dvc repro` to go on)"
    assert not any(line.startswith("Traceback") for line in errors)
    assert journal(folder)[-1]["status"] == "stopped"
    assert not (folder / "out").exists()
    (checkpoints,) = (folder / ".rootstock/checkpoints").iterdir()
    assert len(list(checkpoints.glob("*.safetensors"))) in (1, 2)


def test_a_finished_training_that_is_forced_is_done_again(sources, tmp_path, monkeypatch):
    folder = workspace(tmp_path / "w", train={"epochs": 2})
    assert here(folder, sources, monkeypatch) == 0
    before = outputs(folder)
    assert here(folder, sources, monkeypatch) == 0
    assert outputs(folder) == before
    events = [(event["kind"], event.get("first_epoch")) for event in journal(folder)]
    assert events == [("start", 1), ("epoch", None), ("epoch", None), ("end", None)] * 2


def test_a_loss_that_is_not_finite_ends_with_exit_code_3_and_no_model(
    sources, tmp_path, monkeypatch, capfd
):
    folder = workspace(
        tmp_path / "w", train={"strategy": "full"}, optim={"name": "sgd", "lr": 10.0}
    )
    assert here(folder, sources, monkeypatch) == 3
    last = capfd.readouterr().err.splitlines()[-1]
    assert re.match(r"error: train: the loss .* epoch \d.* no model was written\)$", last)
    assert not (folder / "out").exists()
    assert journal(folder)[-1]["status"] == "failed"


def test_a_full_disk_while_saving_a_checkpoint_is_one_line(sources, tmp_path, monkeypatch, capfd):
    folder = workspace(tmp_path / "w")

    def full(*arguments):
        raise OSError(errno.ENOSPC, "No space left on device", "epoch-000001.safetensors")

    monkeypatch.setattr("pipeline.train.checkpoint.save_tensors", full)
    assert here(folder, sources, monkeypatch) == 4
    last = capfd.readouterr().err.splitlines()[-1]
    assert last.startswith("error: epoch-000001.safetensors: No space left on device")


def test_a_wrong_byte_in_what_is_trained_on_ends_with_exit_code_5_and_no_model(
    sources, tmp_path, monkeypatch, capfd
):
    features = shutil.copytree(sources.features, tmp_path / "features")
    last = sorted(features.glob("pooled-*.npy"))[-1]
    content = bytearray(last.read_bytes())
    content[-1] ^= 1
    last.write_bytes(content)
    folder = workspace(tmp_path / "w", train={"strategy": "head"})
    assert here(folder, replace(sources, features=features), monkeypatch) == 5
    assert capfd.readouterr().err.splitlines()[-1] == (
        f"error: {last}: its values were changed (run `dvc checkout` or `dvc repro features`)"
    )
    assert not (folder / "out").exists()
