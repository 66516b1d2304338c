"""Every timm architecture gives pooled features as documented, and folding changes speed only."""

import pytest
import timm
import torch
from torch import nn

from pipeline.ground.errors import ParamsError
from pipeline.picture.net.backbones import build_backbone, looks_like, preprocessing, shapes
from pipeline.picture.read.spec import DecodeSpec

KINDS = [
    "resnet10t",
    "test_efficientnet",
    "test_convnext",
    "mobilenetv3_small_050",
    "test_mambaout",
    "test_vit",
    "mixer_s32_224",
]
TOKENS = {"test_vit", "mixer_s32_224"}


def spec(size_px):
    return DecodeSpec(size_px, "squash", "bilinear", (0, 0, 0))


@pytest.fixture(autouse=True)
def _one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def pictures(backbone, count=2, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(count, *backbone.input_size, generator=generator)


def shake_batch_norm(backbone):
    """Give batch normalization statistics that are no identity, as training does."""
    generator = torch.Generator().manual_seed(1)
    for module in backbone.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.normal_(0, 0.1, generator=generator)
            module.running_var.uniform_(0.5, 1.5, generator=generator)
            module.weight.data.uniform_(0.5, 1.5, generator=generator)
            module.bias.data.normal_(0, 0.1, generator=generator)


@pytest.mark.parametrize("architecture", KINDS)
@torch.no_grad()
def test_mean_pooling_gives_what_timm_gives_and_max_follows_it(architecture):
    backbone = build_backbone(architecture)
    images = pictures(backbone)
    mean, highest, both = (backbone.pooled(images, each) for each in ("mean", "max", "mean+max"))
    assert mean.shape == (2, backbone.pooled_dim("mean"))
    assert both.shape == (2, backbone.pooled_dim("mean+max"))
    assert torch.equal(both, torch.cat([mean, highest], dim=1))
    assert not torch.equal(mean, highest)
    if architecture != "test_vit":  # timm takes its class token
        assert torch.allclose(mean, backbone.model(images), atol=1e-5)


@torch.no_grad()
def test_max_is_over_the_last_feature_map():
    backbone = build_backbone("resnet10t")
    images = pictures(backbone)
    features = backbone(images)
    assert features.shape == (2, 512, 6, 6)
    assert torch.equal(backbone.pooled(images, "max"), features.flatten(2).max(dim=2).values)


@torch.no_grad()
def test_token_models_pool_patches_and_leave_the_class_token_out():
    backbone = build_backbone("test_vit")
    tokens = backbone(pictures(backbone))
    assert tokens.shape == (2, 101, 64)
    assert torch.allclose(backbone.pool(tokens, "mean"), tokens[:, 1:].mean(dim=1), atol=1e-6)
    assert torch.equal(backbone.pool(tokens, "max"), tokens[:, 1:].max(dim=1).values)


def test_there_is_no_classifier_in_it():
    for architecture in KINDS:
        backbone = build_backbone(architecture)
        names = backbone.model.state_dict().keys()
        missing = shapes(architecture).keys() - names
        assert missing, architecture
        assert all(name.split(".")[0] in ("fc", "classifier", "head") for name in missing)
        assert names < shapes(architecture).keys()


def test_random_weights_are_the_same_each_time_and_leave_torchs_generator_alone():
    torch.manual_seed(5)
    first = build_backbone("resnet10t")
    drawn = torch.rand(3)
    torch.manual_seed(5)
    assert torch.equal(torch.rand(3), drawn)
    second = build_backbone("resnet10t")
    pairs = zip(first.parameters(), second.parameters(), strict=True)
    assert all(torch.equal(one, other) for one, other in pairs)


def test_an_unknown_architecture_is_told_with_three_close_names():
    with pytest.raises(ParamsError) as caught:
        build_backbone("resnet81")
    assert str(caught.value).startswith(
        "params.yaml: weights.architecture: must be an architecture that timm knows, got "
        "'resnet81' (close are resnet18, "
    )
    assert str(caught.value).count(", ") == 3  # three names, and "got"


@torch.no_grad()
def test_an_architecture_with_several_maps_is_refused():
    backbone = build_backbone("crossvit_9_240")
    with pytest.raises(ParamsError, match="must be an architecture with one last feature map"):
        backbone.pooled(pictures(backbone, count=1), "mean")


def test_a_fixed_size_is_checked_before_anything_is_computed():
    build_backbone("resnet10t").check(spec(96))
    vit = build_backbone("test_vit")
    vit.check(spec(160))
    with pytest.raises(ParamsError) as caught:
        vit.check(spec(224))
    assert str(caught.value) == (
        "params.yaml: transform.size_px: must be 160, the only size that test_vit takes, got 224 "
        "(or choose another weights.architecture)"
    )


@pytest.mark.parametrize("architecture", [*KINDS, "repvgg_a0", "test_nfnet"])
@torch.no_grad()
def test_folding_keeps_what_is_computed(architecture):
    backbone = build_backbone(architecture)
    shake_batch_norm(backbone)
    images = pictures(backbone)
    expected = backbone.pooled(images, "mean+max")
    backbone.fold()
    got = backbone.pooled(images, "mean+max")
    assert float((got - expected).abs().max() / expected.abs().max()) < 1e-4


@pytest.mark.parametrize(
    "architecture", ["resnet10t", "test_efficientnet", "tf_efficientnet_lite0"]
)
def test_folding_leaves_no_batch_normalization_where_each_follows_a_convolution(architecture):
    backbone = build_backbone(architecture)
    assert any(isinstance(each, nn.BatchNorm2d) for each in backbone.modules())
    backbone.fold()
    assert not any(isinstance(each, nn.BatchNorm2d) for each in backbone.modules())


def test_looks_like_names_the_common_architecture_whatever_its_classifier():
    found = {**shapes("resnet34"), "fc.weight": (7, 512), "fc.bias": (7,)}
    assert looks_like(found, besides="resnet18") == "resnet34"
    without_counters = {name: shape for name, shape in found.items() if "num_batches" not in name}
    assert looks_like(without_counters, besides="resnet18") == "resnet34"
    assert looks_like({"conv1.weight": (1, 2, 3, 4)}, besides="resnet18") is None


def test_lite_models_of_timm_have_their_record():
    record = preprocessing("tf_efficientnet_lite0").expected
    assert record.input_size == (3, 224, 224)
    assert record.facts["mean"] == [0.5, 0.5, 0.5]
    assert record.license == "apache-2.0"
    assert timm.is_model("tf_efficientnet_lite0")
