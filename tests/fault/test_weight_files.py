"""Every kind of broken or hostile weights file ends in its own one line and exit code."""

import io
import os
import pickle
import random
import zipfile

import pytest
import torch
import torchvision

from pipeline.ground.errors import PipelineError
from pipeline.picture.net.backbones import build_backbone
from pipeline.weights.files import check_file, read_state_dict
from pipeline.weights.params import WeightsParams
from pipeline.weights.tensors import save_tensors
from pipeline.weights.weights import fetch_weights

ARCHITECTURE = "resnet10t"
NAME = "w.pth"


class Malicious:
    """Makes a file when it is unpickled."""

    def __init__(self, proof):
        self.proof = proof

    def __reduce__(self):
        return (os.system, (f"touch {self.proof}",))


def good_state():
    return dict(build_backbone(ARCHITECTURE).model.state_dict())


def saved(content, **options):
    stream = io.BytesIO()
    torch.save(content, stream, **options)
    return stream.getvalue()


def safetensors(folder):
    save_tensors(folder / "scratch", good_state(), {})
    raw = (folder / "scratch").read_bytes()
    (folder / "scratch").unlink()
    return raw


def zipped(name):
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr(name, b"hello")
    return stream.getvalue()


def html(_):
    return b"<!DOCTYPE html><html><body>Sign in to continue</body></html>"


def lfs_pointer(_):
    return b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 46827520\n"


def json_answer(_):
    return b'{"error": "Repository not found"}'


def xml_answer(_):
    return b'<?xml version="1.0"?><Error><Code>AccessDenied</Code></Error>'


def a_text(_):
    return b"weights are on the shared drive\n"


def gzipped(_):
    return b"\x1f\x8b\x08\x00" + bytes(40)


def noise(_):
    return bytes(range(1, 200)) * 10


def empty(_):
    return b""


def cut_zip(_):
    raw = saved(good_state())
    return raw[: len(raw) // 2]


def cut_legacy(_):
    raw = saved(good_state(), _use_new_zipfile_serialization=False)
    return raw[: len(raw) // 2]


def cut_legacy_early(_):
    return saved(good_state(), _use_new_zipfile_serialization=False)[:400]


def cut_safetensors(folder):
    return safetensors(folder)[:-1000]


def flipped_safetensors(folder):
    raw = bytearray(safetensors(folder))
    raw[-5] ^= 1
    return bytes(raw)


def other_zip(_):
    return zipped("readme.txt")


def whole_model(_):
    return saved(torch.nn.Sequential(torch.nn.Linear(2, 2)))


def whole_model_legacy(_):
    return saved(torch.nn.Sequential(torch.nn.Linear(2, 2)), _use_new_zipfile_serialization=False)


def torchscript(_):
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("m/constants.pkl", b"x")
        archive.writestr("m/data.pkl", b"x")
    return stream.getvalue()


def malicious(folder):
    return saved({"conv1.weight": Malicious(folder / "proof")})


def malicious_pickle(folder):
    return pickle.dumps(Malicious(folder / "proof"), protocol=2)


def a_list(_):
    return saved([torch.ones(2)])


def a_tensor(_):
    return saved(torch.ones(2))


def nothing_in_it(_):
    return saved({})


def nested(_):
    return saved({"model": good_state(), "model_ema": good_state(), "epoch": 3})


def with_a_number(_):
    return saved(good_state() | {"epoch": 3})


def resnet18(_):
    return saved(torchvision.models.resnet18(weights=None).state_dict())


def one_missing(_):
    state = good_state()
    del state["layer1.0.conv1.weight"]
    return saved(state)


def one_unexpected(_):
    return saved(good_state() | {"layer9.weight": torch.ones(2)})


def one_reshaped(_):
    return saved(good_state() | {"layer1.0.conv1.weight": torch.ones(64, 64, 5, 5)})


def with_nan(_):
    state = good_state()
    state["layer1.0.conv1.weight"] = state["layer1.0.conv1.weight"].clone()
    state["layer1.0.conv1.weight"][0, 0, 0, :2] = torch.tensor([float("nan"), float("inf")])
    return saved(state)


def integers(_):
    return saved({name: each.to(torch.int8) for name, each in good_state().items()})


def sparse(_):
    state = good_state()
    state["layer1.0.conv1.weight"] = state["layer1.0.conv1.weight"].to_sparse()
    return saved(state)


TABLE = [
    (
        html,
        3,
        "must be a PyTorch or safetensors file, but is an HTML page (download the file again)",
    ),
    (lfs_pointer, 3, "but is a git-LFS pointer (run `git lfs pull`)"),
    (json_answer, 3, "but is a JSON file"),
    (xml_answer, 3, "but is an XML file"),
    (a_text, 3, "but is a text file"),
    (gzipped, 3, "but is a gzip archive"),
    (noise, 3, "but is something else"),
    (empty, 5, "is empty (download the file again)"),
    (cut_zip, 5, "truncated: the archive has no end after "),
    (cut_legacy, 5, "truncated: "),
    (cut_legacy_early, 5, "truncated or damaged (400 bytes)"),
    (cut_safetensors, 5, "truncated: "),
    (flipped_safetensors, 5, "its values must be those that were saved, but they were changed"),
    (other_zip, 5, "a zip archive without PyTorch tensors, its first file is ['readme.txt']"),
    (whole_model, 3, "only state dicts are loaded, but this one refers to torch.nn.modules."),
    (whole_model_legacy, 3, "only state dicts are loaded, but this one refers to torch.nn."),
    (torchscript, 3, "only state dicts are loaded, but this one refers to TorchScript"),
    (malicious, 3, "only state dicts are loaded, but this one refers to posix.system"),
    (malicious_pickle, 3, "only state dicts are loaded"),
    (a_list, 3, "must be a state dict (tensors by name), but is, got 'list'"),
    (a_tensor, 3, "must be a state dict (tensors by name), but is, got 'Tensor'"),
    (nothing_in_it, 3, "must be a state dict (tensors by name)"),
    (nested, 3, "is nested in the file (set weights.key to one of: model, model_ema)"),
    (with_a_number, 3, "must hold tensors only, but 1 of 85 values are none; first: 'epoch' (int)"),
    (resnet18, 3, "it looks like resnet18: see weights.architecture"),
    (one_missing, 3, "of resnet10t: 1 of 70 missing (first: layer1.0.conv1.weight) (see"),
    (one_unexpected, 3, "of resnet10t: 1 unexpected (first: layer9.weight) (see"),
    (one_reshaped, 3, "of resnet10t: 1 of another shape (first: layer1.0.conv1.weight) (see"),
    (with_nan, 3, "layer1.0.conv1.weight: must be finite, but 2 of 36864 values are NaN or infi"),
    (integers, 3, "must be dense floating-point numbers, got 'torch.int8, torch.strided'"),
    (sparse, 3, "layer1.0.conv1.weight: must be dense floating-point numbers, got 'torch.float32"),
]


def fetch(folder, **more):
    options = {"source": f"file:{NAME}", "architecture": ARCHITECTURE, "sha256": None, "key": None}
    return fetch_weights(WeightsParams(**options | more), folder, resolve_model=lambda uri: uri)


def assert_one_line(error):
    text = str(error)
    assert "\n" not in text
    assert len(text) < 500
    for word in ("weights_only", "unsafe", "trust"):  # torch's advice to switch its safety off
        assert word not in text


@pytest.mark.parametrize(
    ("make", "exit_code", "text"), TABLE, ids=[make.__name__ for make, _, _ in TABLE]
)
def test_a_broken_file_has_its_own_line_and_exit_code(make, exit_code, text, tmp_path):
    (tmp_path / NAME).write_bytes(make(tmp_path))
    with pytest.raises(PipelineError) as caught:
        fetch(tmp_path)
    assert str(caught.value).startswith(f"{tmp_path / NAME}: ")
    assert text in str(caught.value)
    assert caught.value.exit_code == exit_code
    assert_one_line(caught.value)
    assert not (tmp_path / "proof").exists(), "code from the file was run"


def test_resnet18_in_place_of_resnet34_is_counted_and_named(tmp_path):
    (tmp_path / NAME).write_bytes(resnet18(tmp_path))
    with pytest.raises(PipelineError) as caught:
        fetch(tmp_path, architecture="resnet34")
    assert str(caught.value) == (
        f"{tmp_path / NAME}: must hold the tensors of resnet34: 80 of 180 missing (first: "
        "layer1.2.conv1.weight) (it looks like resnet18: see weights.architecture)"
    )


def test_a_flipped_bit_is_found_by_the_sha256_before_anything_is_parsed(tmp_path):
    raw = bytearray(saved(good_state()))
    (tmp_path / NAME).write_bytes(raw)
    sha256 = check_file(tmp_path / NAME, None)
    fetch(tmp_path, sha256=sha256.upper())
    raw[len(raw) // 2] ^= 1
    (tmp_path / NAME).write_bytes(raw)
    with pytest.raises(PipelineError) as caught:
        fetch(tmp_path, sha256=sha256)
    assert caught.value.exit_code == 5
    assert f"its SHA-256 must be {sha256} (weights.sha256), got '" in str(caught.value)


def test_a_wrong_key_is_told_with_those_that_are_there(tmp_path):
    (tmp_path / NAME).write_bytes(nested(tmp_path))
    with pytest.raises(PipelineError) as caught:
        fetch(tmp_path, key="ema")
    assert str(caught.value) == (
        f"{tmp_path / NAME}: weights.key: no such key in the file, got 'ema' "
        "(there is: epoch, model, model_ema)"
    )
    assert caught.value.exit_code == 3


def test_a_missing_file_is_told_with_those_that_are_there(tmp_path):
    with pytest.raises(PipelineError, match=r"no such file \(put it into") as caught:
        fetch(tmp_path)
    assert caught.value.exit_code == 3
    (tmp_path / "resnet18.pth").write_bytes(b"x")
    with pytest.raises(PipelineError, match=r"no such file \(there is: resnet18\.pth\)"):
        fetch(tmp_path)


@pytest.mark.parametrize("name", ["../w.pth", "/etc/passwd", "link.pth"])
def test_a_path_out_of_the_folder_is_refused(name, tmp_path):
    folder = tmp_path / "weights"
    folder.mkdir()
    (tmp_path / NAME).write_bytes(saved(good_state()))
    (folder / "link.pth").symlink_to(tmp_path / NAME)
    with pytest.raises(PipelineError, match=r"weights\.source: must be a file in ") as caught:
        fetch(folder, source=f"file:{name}")
    assert caught.value.exit_code == 2


@pytest.mark.parametrize("legacy", [False, True], ids=["zip", "legacy"])
def test_no_damage_ever_ends_in_a_traceback(legacy, tmp_path):
    """Cuts and flipped bytes give tensors or one of our errors, never another exception."""
    state = {"a.weight": torch.arange(12.0).view(3, 4), "b": torch.ones(2).bfloat16()}
    whole = saved(state, _use_new_zipfile_serialization=not legacy)
    chance = random.Random(0)
    for trial in range(400):
        raw = bytearray(whole[: chance.randrange(len(whole))] if trial % 4 == 0 else whole)
        for _ in range(chance.randrange(1, 4)):
            if raw:
                raw[chance.randrange(len(raw))] = chance.randrange(256)
        (tmp_path / NAME).write_bytes(raw)
        try:
            check_file(tmp_path / NAME, None)
            read_state_dict(tmp_path / NAME, None)
        except PipelineError as error:
            assert error.exit_code in (3, 5)
            assert_one_line(error)
