"""Weights, device and packages are looked at as the stages will, and nothing is downloaded."""

import shutil

import pytest

from pipeline.doctor import device as doctor_device
from pipeline.doctor.device import check_device, check_packages
from pipeline.doctor.params import CLASSES, examine_params
from pipeline.doctor.weights import check_weights
from pipeline.ground.errors import MachineError
from pipeline.ground.files import sha256_file, write_json
from pipeline.ground.findings import gather
from pipeline.modality.types.params import NormalizeSection, ShelfParams
from pipeline.picture.net.backbones import build_backbone
from pipeline.version.download import download_model_file
from pipeline.weights.params import WeightsParams
from pipeline.weights.tensors import save_tensors
from tests.support.closure import ROOT


@pytest.fixture(scope="module")
def params():
    return examine_params(ROOT / "params.yaml")[0]


@pytest.fixture
def look(params, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "weights").mkdir()

    def look_at(source, architecture="resnet10t", *, sha256=None, key=None, **others):
        weights = WeightsParams(source=source, architecture=architecture, sha256=sha256, key=key)
        transform = params.find(ShelfParams).model_copy(update=others)
        checked = check_weights(weights, transform, params.find(NormalizeSection))
        return gather("weights", checked)[0]

    return look_at


def make_weights(path, architecture="resnet10t"):
    save_tensors(path, dict(build_backbone(architecture).model.state_dict()), {"a": 1})
    return sha256_file(path)


def test_the_committed_weights_are_here_and_fit(params, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    transform, normalize = params.find(ShelfParams), params.find(NormalizeSection)
    checked = check_weights(params.find(CLASSES["weights"]), transform, normalize)
    found, _ = gather("weights", checked)
    assert [each.level for each in found] == ["ok"]
    assert "tensors fit tf_efficientnet_lite0" in found[0].line()


def test_a_local_file_is_read_as_the_stage_will(look, tmp_path):
    sha256 = make_weights(tmp_path / "weights/a.safetensors")
    found = look("file:a.safetensors", size_px=176)
    assert [each.level for each in found] == ["ok", "warning"]
    assert f"write {sha256}" in found[1].line()
    assert [each.level for each in look("file:a.safetensors", sha256=sha256, size_px=176)] == ["ok"]


def write_html(path):
    path.write_text("<!DOCTYPE html><html>")


def write_pointer(path):
    path.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n")


def write_nothing(path):
    path.write_bytes(b"")


def write_cut(path):
    make_weights(path)
    path.write_bytes(path.read_bytes()[:-1000])


def write_other(path):
    make_weights(path, "resnet18")


BAD_FILES = {
    "html": (write_html, "HTML", 3),
    "pointer": (write_pointer, "LFS", 3),
    "empty": (write_nothing, "is empty", 5),
    "cut": (write_cut, "truncated", 5),
    "other architecture": (write_other, "resnet18", 3),
}


@pytest.mark.parametrize("case", BAD_FILES)
def test_a_file_that_is_no_weights_is_told_with_its_exit_code(look, tmp_path, case):
    write, message, code = BAD_FILES[case]
    write(tmp_path / "weights/a.safetensors")
    found = look("file:a.safetensors")
    assert found[-1].exit_code == code, found[-1].line()
    assert message in found[-1].line()


def test_another_hash_is_an_error_of_integrity(look, tmp_path):
    make_weights(tmp_path / "weights/a.safetensors")
    (found,) = look("file:a.safetensors", sha256="0" * 64)
    assert found.exit_code == 5


@pytest.mark.parametrize(
    ("source", "code", "message"),
    [
        ("file:none.pth", 3, "no such file"),
        ("package:no-such-package-here", 4, "the package must be installed"),
        ("torchvision:ResNet18_Weights.IMAGENET1K_V9", 2, "must be weights that torchvision knows"),
        ("timm:resnet18", 2, "must be resnet18 for timm:resnet18"),
        ("model:cells@champion", 2, "must be model:models:/<name>@<alias>"),
    ],
)
def test_a_source_that_is_not_there_is_told(look, source, code, message):
    (found,) = look(source)
    assert found.exit_code == code
    assert message in found.line()


def test_a_download_that_will_fail_is_told_before_it(look, tmp_path, monkeypatch):
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    (found,) = look("timm:resnet10t", size_px=176)
    assert found.exit_code == 4
    assert "must be downloaded, and does not answer" in found.line()
    record = {"source": "timm:resnet10t", "architecture": "resnet10t"}
    write_json(tmp_path / "artifacts/weights/backbone.json", record)
    found = look("timm:resnet10t", size_px=176)
    assert found[0].line() == "timm:resnet10t: is in artifacts/weights already"


def test_a_registry_that_is_away_is_an_error_of_the_machine(monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://me:secret@127.0.0.1:9")
    with pytest.raises(MachineError, match=r"no answer to weights\.source: .*refused") as caught:
        download_model_file("models:/cells@champion")
    assert "secret" not in str(caught.value)


def test_pictures_of_another_size_or_scale_are_warnings(look, params, tmp_path):
    sha256 = make_weights(tmp_path / "weights/a.safetensors")
    found = look("file:a.safetensors", sha256=sha256, size_px=224)
    assert "transform.size_px: pictures of 224 px, where resnet10t was trained" in found[-1].line()
    weights = WeightsParams(
        source="file:a.safetensors", architecture="resnet10t", sha256=sha256, key=None
    )
    normalize = params.find(NormalizeSection).model_copy(update={"mode": "minmax"})
    checked = check_weights(weights, params.find(ShelfParams), normalize)
    assert "normalize.mode: minmax is not what" in gather("weights", checked)[0][-1].line()


def look_at_device(params, *, strategy="top", workers="auto", **runtime):
    settings = {"threads": 1, "device": "cpu", "precision": "fp32", "compile": False} | runtime
    return gather(
        "device",
        check_device(
            params.find(CLASSES["runtime"]).model_copy(update=settings),
            params.find(CLASSES["train"]).model_copy(update={"strategy": strategy}),
            params.find(CLASSES["machine"]).model_copy(update={"workers": workers}),
        ),
    )[0]


def test_the_device_is_opened_as_the_stages_will(params):
    found = look_at_device(params)
    assert found[0].line().startswith("runtime: cpu, fp32, 1 threads on ")
    assert found[0].level == "ok"


def test_a_device_that_is_not_there_is_an_error_of_the_machine(params):
    import torch

    if torch.cuda.is_available():
        pytest.skip("this machine has a GPU")
    (found,) = look_at_device(params, device="cuda")
    assert found.exit_code == 4
    assert "runtime.device: this machine has no such device, got 'cuda'" in found.line()


def test_what_will_be_slow_is_a_warning(params):
    told = [
        each.line() for each in look_at_device(params, threads=1024, workers=1000, strategy="full")
    ]
    assert any("1024 threads wait for each other" in line for line in told)
    assert any("1000 processes share" in line for line in told)
    assert any("train.strategy: full trains every layer" in line for line in told)
    look_at_device(params)


def test_little_memory_is_a_warning(params, monkeypatch):
    monkeypatch.setattr(doctor_device, "_free_memory", lambda: 1 << 30)
    assert "memory: 1.0 GiB are free" in look_at_device(params)[-1].line()


def test_packages_are_those_of_the_lock_file(tmp_path, monkeypatch):
    shutil.copy(ROOT / "requirements.lock", tmp_path)
    monkeypatch.chdir(tmp_path)
    found, _ = gather("packages", check_packages())
    assert [each.level for each in found] == ["ok"], found[0].line()
    text = (tmp_path / "requirements.lock").read_text()
    (tmp_path / "requirements.lock").write_text(text.replace("timm==", "timm==9."))
    found, _ = gather("packages", check_packages())
    assert "timm" in found[0].line()
    assert "in place of 9." in found[0].line()
    (tmp_path / "requirements.lock").unlink()
    assert gather("packages", check_packages())[0][0].exit_code == 4
