"""Pictures in, outputs out: normalization is exact, and neighbors in a batch change nothing."""

import copy

import numpy as np
import pytest
import torch

from pipeline.compute.device import Runtime
from pipeline.model.head import Head
from pipeline.model.network import Network, Trunk
from pipeline.picture.net.backbones import build_backbone
from pipeline.picture.shelf.normalization import Normalization, normalized_levels

NORMALIZATION = Normalization("pretrained", 1 / 255, (0.485, 0.456, 0.406), (0.229, 0.224, 0.225))


@pytest.fixture(autouse=True)
def _two_threads():
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


def build(architecture="test_efficientnet", outputs=2, dropout=0.0, pooling="mean+max"):
    backbone = build_backbone(architecture)
    head = Head(backbone.pooled_dim(pooling), outputs, dropout=dropout)
    with torch.no_grad():
        head.weight.normal_(generator=torch.Generator().manual_seed(2))
    return Network(backbone, head, normalization=NORMALIZATION, pooling=pooling).eval()


def pictures(count, size=160, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, (count, 3, size, size), generator=generator, dtype=torch.uint8)


def test_every_byte_becomes_what_the_normalization_says_it_becomes():
    levels = torch.arange(256, dtype=torch.uint8).view(1, 1, 16, 16).expand(2, 3, 16, 16)
    given = levels.clone()
    got = build().prepare(given)
    expected = torch.from_numpy(normalized_levels(NORMALIZATION)).view(3, 16, 16)
    assert got.dtype == torch.float32
    assert got.is_contiguous(memory_format=torch.channels_last)
    assert torch.equal(got[0], expected)
    assert torch.equal(got[1], expected)
    assert torch.equal(given, levels)


def test_augmented_float_pictures_are_normalized_the_same_and_not_changed():
    images = pictures(2, size=16)
    as_float = images.float()
    assert torch.equal(build().prepare(as_float), build().prepare(images))
    assert torch.equal(as_float, images.float())


@torch.no_grad()
def test_the_network_is_its_trunk_and_its_head():
    network, images = build(), pictures(3)
    trunk = Trunk(network.backbone, normalization=NORMALIZATION, pooling="mean+max").eval()
    assert trunk.dim == network.dim == 512
    assert torch.equal(trunk.pooled(images), network.pooled(images))
    assert torch.equal(network(images), network.head.by_row(network.pooled(images)))
    assert set(network.state_dict()) == {
        *(f"backbone.{name}" for name in trunk.backbone.state_dict()),
        "head.weight",
        "head.bias",
        "head.mean",
        "head.std",
    }


def test_a_head_of_another_width_is_refused():
    backbone = build_backbone("test_efficientnet")
    with pytest.raises(ValueError, match="the head takes 7 features, there are 256"):
        Network(backbone, Head(7, 2, dropout=0.0), normalization=NORMALIZATION, pooling="mean")


def test_training_mode_reaches_every_parameter_and_uses_the_generator():
    network = build(dropout=0.5).train()
    outputs = [network(pictures(4, 64), torch.Generator().manual_seed(seed)) for seed in (1, 1, 2)]
    outputs[0].square().sum().backward()
    assert all(
        each.grad is not None and each.grad.isfinite().all() for each in network.parameters()
    )
    assert not torch.equal(outputs[0], outputs[2])


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize(
    "architecture", ["test_efficientnet", "resnet10t", "test_convnext", "test_vit"]
)
def test_a_pictures_outputs_do_not_depend_on_its_place_or_its_neighbors(architecture, precision):
    network = build(architecture)
    network.fold()
    runtime = Runtime(torch.device("cpu"), precision, threads=2)
    size = 160 if architecture == "test_vit" else 96
    images, others = pictures(7, size), pictures(7, size, seed=1)
    with torch.inference_mode(), runtime.autocast():
        expected = network(images)
        for at in (0, 6):
            batch = others.clone()
            batch[at] = images[3]
            assert torch.equal(network(batch)[at], expected[3]), at
        order = torch.randperm(7, generator=torch.Generator().manual_seed(3))
        assert torch.equal(network(images[order]), expected[order])


@pytest.mark.parametrize("architecture", ["test_efficientnet", "tf_efficientnet_lite0"])
def test_folding_is_proven_in_single_precision_whatever_is_around(architecture):
    network = build(architecture)
    with torch.inference_mode(), Runtime(torch.device("cpu"), "bf16", 2).autocast():
        network.fold()
    assert not any(isinstance(each, torch.nn.BatchNorm2d) for each in network.modules())


@torch.no_grad()
def test_folding_is_for_inference_and_keeps_outputs():
    network, images = build(), pictures(2)
    expected = copy.deepcopy(network)(images)
    network.fold()
    assert network.is_folded
    assert not any(each.requires_grad for each in network.parameters())
    assert torch.allclose(network(images), expected, rtol=1e-3, atol=1e-4)
    folded, names = network(images), [name for name, _ in network.named_modules()]
    network.fold()  # a second time changes nothing
    assert [name for name, _ in network.named_modules()] == names
    assert torch.equal(network(images), folded)


def test_bf16_reaches_the_backbone_but_features_and_outputs_are_float32():
    network, images = build(), pictures(2)
    with torch.inference_mode():
        exact = network.pooled(images)
        with Runtime(torch.device("cpu"), "bf16", threads=2).autocast():
            assert network.backbone(network.prepare(images)).dtype == torch.bfloat16
            rough, outputs = network.pooled(images), network(images)
    assert rough.dtype == outputs.dtype == torch.float32
    error = float((rough - exact).abs().max() / exact.abs().max())
    assert 0 < error < 0.05
    assert np.isfinite(outputs.numpy()).all()
