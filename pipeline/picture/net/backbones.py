"""Pretrained architectures behind one interface: pictures in, a feature map out. Home of timm.

Pooling is over the last feature map. Where timm has layers between pooling and classifier (the norm
of ConvNeXt, the 1x1 convolution of MobileNetV3) they are applied to what was pooled: for `mean`
that gives what timm itself gives. For token models the patch tokens are pooled; class and register
tokens are left out, so that `mean` means the same for every architecture.

Axes: B = pictures, C = channels, H = W = size; h, w = size of the map; N = tokens; D = features.
"""

import difflib
import math
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import timm
import torch
from torch import Tensor, nn

from pipeline.ground.errors import ParamsError
from pipeline.ground.seeds import derive
from pipeline.modality.types.backbone import COUNTER, Backbone
from pipeline.modality.types.params import Pooling
from pipeline.modality.types.pretrained import Expected, Shapes
from pipeline.picture.net.cpu.depthwise import speed_up_gradients
from pipeline.picture.net.cpu.folding import fold_batch_norm
from pipeline.picture.net.cpu.fusing import fuse
from pipeline.picture.net.cuts import FAMILIES, Chain
from pipeline.picture.net.preparation import Preparation
from pipeline.picture.read.spec import DecodeSpec
from pipeline.picture.shelf.normalization import Normalization

VERSIONS = {"timm": str(timm.__version__), "torch": str(torch.__version__)}
"""Packages that decide what an architecture computes."""

_RANDOM_START_SEED = 1

_COMMON = (
    "resnet18",
    "resnet34",
    "resnet50",
    "resnet101",
    "resnet152",
    "resnext50_32x4d",
    "wide_resnet50_2",
    "tf_efficientnet_lite0",
    "tf_efficientnet_lite1",
    "tf_efficientnet_lite2",
    "tf_efficientnet_lite3",
    "tf_efficientnet_lite4",
    "efficientnet_b0",
    "efficientnet_b1",
    "efficientnet_b2",
    "mobilenetv3_small_100",
    "mobilenetv3_large_100",
    "convnext_atto",
    "convnext_tiny",
    "convnext_small",
    "densenet121",
    "regnety_004",
    "vit_tiny_patch16_224",
    "vit_small_patch16_224",
    "vit_base_patch16_224",
)
"""Architectures that a message may say a weights file looks like."""


@dataclass(frozen=True)
class Preprocessing:
    """What timm says of an architecture's default weights.

    Attributes:
        expected: What they were trained with; see `expect`.
        fixed_size: Whether pictures of no other size can be computed.
        hub: Hugging Face repository of the weights; None where there is none.
    """

    expected: Expected
    fixed_size: bool
    hub: str | None


class TimmBackbone(Backbone):
    """An architecture of timm without its classifier.

    Args:
        model: Made by timm with `num_classes=0`.
        architecture: Its name in timm.

    Attributes:
        num_features: Channels of the map, or width of the tokens.
        fixed_size: Whether pictures of no other size can be computed.
    """

    def __init__(self, model: Any, architecture: str) -> None:
        super().__init__()
        self.model = model.to(memory_format=torch.channels_last)
        self.architecture = architecture
        self.num_features = int(model.num_features)
        facts = preprocessing(architecture)
        self.input_size = facts.expected.input_size
        self.fixed_size = facts.fixed_size
        self._head_features = int(model.head_hidden_size)
        self._is_channels_last = str(getattr(model, "output_fmt", "")).endswith("NHWC")
        self._prefix_tokens = int(getattr(model, "num_prefix_tokens", 0))

    def prepare(self, normalization: Normalization) -> Preparation:
        """Return what makes float32 pictures, channels last, of bytes."""
        return Preparation(normalization)

    def facts(self, normalization: Normalization) -> dict[str, Any]:
        """Return what the record of weights says that are fed by this normalization."""
        return {"mean": list(normalization.mean), "std": list(normalization.std)}

    def forward(self, images_BCHW: Tensor) -> Tensor:
        """Return the last feature map, [B, C, h, w], or [B, h, w, C] or tokens [B, N, C].

        Raises:
            ParamsError: The architecture gives several maps.
        """
        features = self.model.forward_features(images_BCHW)
        if not isinstance(features, Tensor):
            raise ParamsError(
                "params.yaml",
                "must be an architecture with one last feature map",
                field="weights.architecture",
                got=self.architecture,
            )
        return features

    def cut_name(self, cut: str | int) -> str:
        """Return the name of the lowest step above a cut, by its name or number.

        Raises:
            ParamsError: There is no such cut, or the architecture has none.
        """
        return self._chain().name(cut)

    def lower(self, images_BCHW: Tensor, cut: str) -> Tensor:
        """Return the activations at a cut, which `upper` goes on from."""
        chain = self._chain()
        return chain.run(chain.below(cut), images_BCHW)

    def upper(self, activations: Tensor, cut: str) -> Tensor:
        """Return the last feature map from activations at a cut, equal to the bit to `forward`."""
        if activations.ndim == 4:  # cached ones are not stored so
            activations = activations.contiguous(memory_format=torch.channels_last)
        chain = self._chain()
        return chain.run(chain.above(cut), activations)

    def groups(self, cut: str | None) -> list[list[nn.Parameter]]:
        """Return the parameters from a cut (None: the first layer) upwards, by stage, lowest first.

        What runs after pooling belongs to the last group. An architecture without cuts is one
        group.
        """
        if cut is None and type(self.model).__name__ not in FAMILIES:
            return [list(self.model.parameters())]
        chain = self._chain()
        groups = [chain.parameters(steps) for steps in chain.groups(cut)]
        groups[-1] += [each for module in chain.tail() for each in module.parameters()]
        return groups

    def _chain(self) -> Chain:
        return Chain(self.model, self.architecture)

    def pool(self, features: Tensor, pooling: Pooling) -> Tensor:
        """Pool what `forward` gave, in float32 whatever the precision around: [B, D]."""
        with torch.autocast(features.device.type, enabled=False):
            parts = [self._pool(features.float(), kind) for kind in pooling.split("+")]
            return torch.cat(parts, dim=1)

    def as_map(self, features: Tensor) -> Tensor:
        """Return what `forward` gave as [B, C, h, w]; patch tokens become a square.

        Raises:
            ParamsError: The tokens form no square.
        """
        if features.ndim == 4:
            return features.permute(0, 3, 1, 2) if self._is_channels_last else features
        tokens = features[:, self._prefix_tokens :]
        side = math.isqrt(tokens.shape[1])
        if side * side != tokens.shape[1]:
            raise ParamsError(
                "params.yaml",
                "must be an architecture whose tokens form a square",
                field="weights.architecture",
                got=self.architecture,
            )
        grid: Tensor = tokens.transpose(1, 2).unflatten(2, (side, side))
        return grid

    def pooled_dim(self, pooling: Pooling) -> int:
        """Return D, the number of pooled features."""
        return self._head_features * len(pooling.split("+"))

    def check(self, spec: DecodeSpec) -> None:
        """Check that pictures of this size can be computed.

        Raises:
            ParamsError: The architecture takes one size only, and it is another.
        """
        wanted = self.input_size[1]
        if self.fixed_size and spec.size_px != wanted:
            raise ParamsError(
                "params.yaml",
                f"must be {wanted}, the only size that {self.architecture} takes",
                field="transform.size_px",
                got=spec.size_px,
                remedy="or choose another weights.architecture",
            )

    def shape_at(self, spec: DecodeSpec, cut: str | None, device: torch.device) -> tuple[int, ...]:
        """Return the shape of a picture's activations at a cut; None: of its last feature map.

        Raises:
            ParamsError: The architecture cannot compute pictures of this size.
        """
        images = torch.zeros(1, 3, spec.size_px, spec.size_px, device=device)
        try:
            with torch.inference_mode():
                if cut is None:
                    return tuple(self(images).shape[1:])
                activations = self.lower(images, cut)
                self.upper(activations, cut)
                return tuple(activations.shape[1:])
        except (AssertionError, RuntimeError) as error:
            raise ParamsError(
                "params.yaml",
                f"must be a size that {self.architecture} takes: {error}",
                field="transform.size_px",
                got=spec.size_px,
                remedy=f"its own is {self.input_size[1]}",
            ) from error

    def speed_up(self) -> None:
        """Give depthwise convolutions that learn faster gradients on the CPU."""
        speed_up_gradients(self)

    def fold(self) -> None:
        """Fold batch normalization into convolutions, and fuse these: for inference only.

        Results change by rounding. Call it in eval mode, after loading weights and before moving to
        a device; where results must be equal, call it in every place.
        """
        height, width = self.input_size[1:]
        ramp = torch.linspace(-2, 2, 3 * height * width).view(1, 3, height, width)
        images = ramp.contiguous(memory_format=torch.channels_last)
        wrapped = fuse(fold_batch_norm(_Features(self.model), images), images)
        self.model = wrapped.get_submodule("model")

    def _pool(self, features: Tensor, kind: str) -> Tensor:
        if features.ndim == 4:
            area = (1, 2) if self._is_channels_last else (2, 3)
            pooled = _reduce(features, area, kind)
        else:
            tokens = features[:, self._prefix_tokens :]
            # timm's own pooling picks the first token, or averages those after the prefix
            pooled = _reduce(tokens, (1,), kind).expand(-1, self._prefix_tokens + 1, -1)
        result: Tensor = self.model.forward_head(pooled, pre_logits=True)
        return result


class _Features(nn.Module):
    """A timm model called for its feature map, as `fold_batch_norm` and `fuse` want it."""

    model: Any

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model = model

    def forward(self, images_BCHW: Tensor) -> Tensor:
        features: Tensor = self.model.forward_features(images_BCHW)
        return features


def _reduce(features: Tensor, axes: tuple[int, ...], kind: str) -> Tensor:
    """Reduce over axes that stay, with length 1."""
    return features.amax(axes, keepdim=True) if kind == "max" else features.mean(axes, keepdim=True)


def build_backbone(architecture: str) -> TimmBackbone:
    """Build a backbone in eval mode; its random weights are the same each time.

    The network is not touched.

    Raises:
        ParamsError: timm has no such architecture.
    """
    _config(architecture)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(derive(_RANDOM_START_SEED, "backbone"))
        model = timm.create_model(architecture, pretrained=False, num_classes=0).eval()
    return TimmBackbone(model, architecture)


@lru_cache
def shapes(architecture: str) -> Shapes:
    """Return the name and shape of each tensor of an architecture in the order of its layers.

    With the classifier of its default weights. No values are made.
    """
    _config(architecture)
    with torch.device("meta"):
        model = timm.create_model(architecture, pretrained=False)
    return {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}


def without_classifier(found: Shapes, architecture: str) -> Shapes:
    """Leave out the tensors that belong to an architecture's classifier, such as `fc.weight`."""
    names = _config(architecture).classifier
    dropped = tuple(f"{name}." for name in ((names,) if isinstance(names, str) else names or ()))
    return {name: shape for name, shape in found.items() if not name.startswith(dropped)}


def preprocessing(architecture: str) -> Preprocessing:
    """Return what the default weights of an architecture expect.

    Raises:
        ParamsError: timm has no such architecture.
    """
    config = _config(architecture)
    expected = expect(
        config.input_size,
        mean=config.mean,
        std=config.std,
        interpolation=config.interpolation,
        license=config.license,
    )
    return Preprocessing(expected, bool(config.fixed_input_size), config.hf_hub_id)


def expect(
    input_size: Sequence[int],
    *,
    mean: Sequence[float],
    std: Sequence[float],
    interpolation: str,
    license: str | None,
) -> Expected:
    """Return what weights of pictures were trained with.

    Args:
        input_size: Channels, height, width.
        mean: By channel, on the scale 0..1.
        std: By channel, on the scale 0..1.
        interpolation: Of resizing.
        license: Of the weights; None where it is not known.
    """
    facts = {
        "mean": [float(each) for each in mean],
        "std": [float(each) for each in std],
        "interpolation": interpolation,
    }
    return Expected(tuple(input_size), facts, license)


def looks_like(found: Shapes, *, besides: str) -> str | None:
    """Name the common architecture that has these tensors, whatever its classifier, if any.

    Args:
        found: Name and shape of each tensor.
        besides: The architecture that it was taken for.
    """
    for architecture in _COMMON:
        if architecture != besides and _plain(found, architecture) == _plain(
            shapes(architecture), architecture
        ):
            return architecture
    return None


def _config(architecture: str) -> Any:
    config = None
    if timm.is_model(architecture):
        with suppress(RuntimeError):  # its name is right, its tag is not
            config = timm.get_pretrained_cfg(architecture)
    if config is not None:
        return config
    base, tagged, _ = architecture.partition(".")
    names = timm.list_pretrained(f"{base}.*") if tagged and timm.is_model(base) else []
    close = difflib.get_close_matches(architecture, names or timm.list_models(), n=3, cutoff=0.0)
    raise ParamsError(
        "params.yaml",
        "must be an architecture that timm knows",
        field="weights.architecture",
        got=architecture,
        remedy=f"close are {', '.join(close)}",
    )


def _plain(found: Shapes, architecture: str) -> Shapes:
    """Leave out the classifier and the counters that old files lack."""
    kept = without_classifier(found, architecture)
    return {name: shape for name, shape in kept.items() if not name.endswith(COUNTER)}
