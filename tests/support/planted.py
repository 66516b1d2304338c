"""A tiny network that looks at brightness in one known place, as a backbone like any other."""

import torch
from torch import nn

from pipeline.compute.device import start_runtime
from pipeline.model.bundle import VERSION, Bundle, Predictor
from pipeline.model.head import Head
from pipeline.model.network import Network
from pipeline.picture.net.backbones import TimmBackbone, build_backbone
from pipeline.picture.read.decode import DecodeSpec
from pipeline.picture.shelf.normalization import Normalization

NORMALIZATION = Normalization("minmax", 1 / 255, (0.0, 0.0, 0.0), (1.0, 1.0, 1.0))


class Quadrant(nn.Module):
    """Channel 0: the mean brightness of 8 x 8 pixels, in the upper left quadrant or everywhere.

    Channel 1: the same of darkness. Like a model of timm as far as a backbone asks.
    """

    num_features = head_hidden_size = 2

    def __init__(self, *, everywhere: bool) -> None:
        super().__init__()
        self.everywhere = everywhere

    def forward_features(self, images: torch.Tensor) -> torch.Tensor:
        bright = nn.functional.avg_pool2d(images.mean(1, keepdim=True), 8)
        features = torch.cat([bright, 1 - bright], dim=1)
        if self.everywhere:
            return features
        rows, columns = (torch.arange(size) < size // 2 for size in features.shape[2:])
        return features * (rows[:, None] & columns)

    def forward_head(self, pooled: torch.Tensor, *, pre_logits: bool) -> torch.Tensor:
        assert pre_logits
        return pooled.flatten(1)


def planted_predictor(*, everywhere=False, views=(0,), size_px=64):
    """Give a predictor of `dark` (output 0) and `bright` (output 1)."""
    network = Network(
        TimmBackbone(Quadrant(everywhere=everywhere), "test_efficientnet"),
        Head(2, 2, dropout=0.0),
        normalization=NORMALIZATION,
        pooling="mean",
    )
    with torch.no_grad():
        network.head.weight.copy_(torch.tensor([[0.0, 4.0], [4.0, 0.0]]))
    return Predictor(network, bundle_of(views=views, size_px=size_px), runtime=_runtime())


def timm_predictor(architecture, *, pooling="mean+max", task="classification", **facts):
    """Give a predictor of a real architecture with a random head."""
    bundle = bundle_of(architecture=architecture, pooling=pooling, task=task, **facts)
    backbone = build_backbone(architecture)
    head = Head(backbone.pooled_dim(pooling), bundle.num_outputs, dropout=0.0)
    with torch.no_grad():
        head.weight.normal_(generator=torch.Generator().manual_seed(3))
    network = Network(backbone, head, normalization=NORMALIZATION, pooling=pooling)
    return Predictor(network.eval(), bundle, runtime=_runtime())


def bundle_of(
    *,
    architecture="test_efficientnet",
    pooling="mean",
    task="classification",
    views=(0,),
    size_px=64,
    resize="squash",
):
    """Give the description of a tiny model."""
    return Bundle(
        version=VERSION,
        modality="picture",
        task=task,
        classes=("dark", "bright") if task == "classification" else (),
        target="label",
        target_mean=0.0,
        target_std=1.0,
        architecture=architecture,
        pooling=pooling,
        decode=DecodeSpec(size_px, resize, "bilinear", (0, 0, 0)),
        normalization=NORMALIZATION,
        temperature=1.0,
        precision="fp32",
        batch_size=2,
        threads=1,
        fingerprint={"torch": "2"},
        weights_sha256=None,
        input_size=(3, 160, 160),
        dropout=0.0,
        views=views,
    )


def _runtime():
    return start_runtime(torch.device("cpu"), precision="fp32", threads=1)
