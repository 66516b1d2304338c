"""A backbone cut in two computes what it computed whole."""

import pytest
import torch

from pipeline.ground.errors import ParamsError
from pipeline.picture.net.backbones import build_backbone

FAMILIES = [
    ("test_efficientnet", 64),
    ("tf_efficientnet_lite0", 64),
    ("resnet18", 64),
    ("convnext_atto", 64),
    ("mobilenetv3_small_100", 64),
    ("test_vit", 160),
]


@pytest.mark.parametrize(("architecture", "size"), FAMILIES)
def test_upper_of_lower_is_the_whole_to_the_bit_at_every_cut(architecture, size):
    backbone = build_backbone(architecture)
    images = torch.randn(2, 3, size, size, generator=torch.Generator().manual_seed(1))
    images = images.contiguous(memory_format=torch.channels_last)
    with torch.inference_mode():
        whole = backbone(images)
        for number, stage in enumerate(backbone._chain().stages):
            assert backbone.cut_name(number) == stage
            lower = backbone.lower(images, stage)
            assert not torch.equal(lower.flatten(), images.flatten())
            assert torch.equal(backbone.upper(lower, stage), whole), stage


@pytest.mark.parametrize(("architecture", "_size"), FAMILIES)
def test_groups_hold_every_parameter_above_the_cut_once(architecture, _size):
    backbone = build_backbone(architecture)
    everything = [id(each) for group in backbone.groups(None) for each in group]
    assert sorted(everything) == sorted(id(each) for each in backbone.parameters())
    stages = backbone._chain().stages
    for number, stage in enumerate(stages):
        groups = backbone.groups(stage)
        assert len(groups) == len(stages) - number
        below = backbone._chain().below(stage)
        frozen = {id(each) for each in backbone._chain().parameters(below)}
        held = {id(each) for group in groups for each in group}
        assert held | frozen == set(everything)
        assert not held & frozen


def test_a_cut_may_lie_within_a_stage():
    backbone = build_backbone("tf_efficientnet_lite0")
    assert backbone.cut_name("blocks.5.2") == "blocks.5.2"
    assert backbone.cut_name(-1) == "conv_head"
    images = torch.randn(1, 3, 64, 64)
    with torch.inference_mode():
        lower = backbone.lower(images, "blocks.5.2")
        assert torch.equal(backbone.upper(lower, "blocks.5.2"), backbone(images))


@pytest.mark.parametrize("cut", ["blocks.77", 99, -9, "blok.4", "", "classifier"])
def test_an_unknown_cut_is_told_with_the_ones_there_are(cut):
    with pytest.raises(ParamsError) as caught:
        build_backbone("tf_efficientnet_lite0").cut_name(cut)
    text = str(caught.value)
    assert text.startswith("params.yaml: features.cut: must be a cut of tf_efficientnet_lite0, got")
    assert "there are blocks.0, blocks.1, " in text
    assert "conv_head, by name or by number 0 to 7, or a step in one, such as blocks.6.0" in text


def test_a_family_without_a_clean_cut_is_told_with_the_families_that_have_one():
    with pytest.raises(ParamsError) as caught:
        build_backbone("densenet121").cut_name("layer1")
    assert str(caught.value) == (
        "params.yaml: features.cut: must be none for densenet121, which has no clean cut "
        "(cuts are known for ConvNeXt, EfficientNet, MobileNetV3, ResNet, ViT)"
    )


def test_without_cuts_all_parameters_are_one_group():
    backbone = build_backbone("densenet121")
    (group,) = backbone.groups(None)
    assert len(group) == len(list(backbone.parameters()))
