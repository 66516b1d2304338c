"""Where a model looked: Grad-CAM on the last feature map, averaged over a prediction's views.

A position's evidence for an output is the sum over the channels of the map there, each times the
mean slope of the output with respect to that channel. Evidence against the output counts as none
(the method's ReLU). For regression the output is the value: heat is what raises it.

Only pooling and head are differentiated, so the backbone runs as in a prediction: folded, fused,
without gradients. Everything is in float32, and every picture is a batch of its own with its views,
so a map depends on its picture alone. captum's LayerGradCam would need a module to hook into and
knows neither views nor tokens: it saves no line here, and takes 1.2 s to import.

Source:
    Selvaraju et al. (2017), "Grad-CAM: visual explanations from deep networks via gradient-based
    localization".

Axes: N = pictures, V = views, C = channels, S = size of a picture, h, w = size of the map.
"""

import base64
from typing import Any, cast

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional

from pipeline.ground.errors import DataError
from pipeline.model.bundle import Predictor
from pipeline.picture.net.augment import orient
from pipeline.picture.net.backbones import TimmBackbone
from pipeline.picture.read.decode import Pixels, UndecodableImage, decode
from pipeline.picture.show.heat_colors import heat_colors
from pipeline.picture.show.preview import encode_jpeg, encode_png

Maps = npt.NDArray[np.float32]

METHOD = "Grad-CAM"

_SEEN_BYTES = 200_000


def evidence(
    predictor: Predictor, images_NCHW: Pixels, outputs_N: npt.NDArray[np.int64] | None = None
) -> Maps:
    """Return each position's evidence for an output, signed: float32 [N, h, w].

    Args:
        predictor: Its device is used; its precision is not.
        images_NCHW: uint8, of the bundle's size; at least one.
        outputs_N: Which output of each picture is meant; None: the largest, or the value.
    """
    network, views = predictor.network, predictor.bundle.views
    as_map = cast(TimmBackbone, network.backbone).as_map
    maps = []
    for number, image in enumerate(images_NCHW):
        picture = torch.from_numpy(image[np.newaxis]).to(predictor.runtime.device)
        batch = torch.cat([orient(picture, code) for code in views])
        with torch.no_grad():
            features = network.backbone(network.prepare(batch))
        features.requires_grad_()
        with torch.enable_grad():
            pooled = network.backbone.pool(features, network.pooling)
            outputs_VK = network.head_outputs(pooled, None)
            chosen = outputs_VK.mean(0).argmax() if outputs_N is None else int(outputs_N[number])
            (slopes,) = torch.autograd.grad(outputs_VK[:, chosen].sum(), features)
        weights = as_map(slopes).mean((2, 3), keepdim=True)
        seen = (weights * as_map(features.detach())).sum(1)
        turned = [_turn_back(each, code) for each, code in zip(seen, views, strict=True)]
        maps.append(torch.stack(turned).mean(0).cpu())
    return np.asarray(torch.stack(maps).numpy())


def heat(evidence_Nhw: Maps, size_px: int) -> Maps:
    """Return heat in [0, 1], the hottest place of each picture 1: float32 [N, S, S].

    Evidence against becomes 0, and the map grows to the picture's size, bilinear. Where nothing
    speaks for the output, the picture's map is 0 all over.
    """
    positive = torch.from_numpy(evidence_Nhw).clamp_min(0.0)[:, None]
    size = (size_px, size_px)
    grown = functional.interpolate(positive, size=size, mode="bilinear", align_corners=False)
    hottest = grown.amax((2, 3), keepdim=True)
    return np.asarray((grown / torch.where(hottest > 0, hottest, 1.0))[:, 0].numpy())


def heat_maps(
    predictor: Predictor, images_NCHW: Pixels, outputs_N: npt.NDArray[np.int64] | None = None
) -> Maps:
    """Return the heat of pictures, float32 [N, S, S] in [0, 1]; see `evidence` and `heat`."""
    return heat(evidence(predictor, images_NCHW, outputs_N), images_NCHW.shape[-1])


def explain_picture(predictor: Predictor, raw: bytes) -> dict[str, Any]:
    """Predict one encoded picture, and show where the model looked; see `explain_pixels`.

    It is decoded in this process: bytes from anybody are for `Engine.explain`.

    Raises:
        DataError: The file is not a usable picture.
    """
    try:
        return explain_pixels(predictor, decode(raw, predictor.bundle.decode))
    except UndecodableImage as error:
        raise DataError("image", f"must be a usable picture: {error}") from error


def explain_pixels(predictor: Predictor, pixels: Pixels) -> dict[str, Any]:
    """Predict one picture, and show where the model looked.

    Args:
        predictor: The model.
        pixels: uint8 [3, S, S], as `decode` gives it.

    Returns:
        Plain values. `label` and `confidence`, or `value`, as a prediction gives them; `seen_jpeg`,
        base64 of the picture as the model sees it, and `heatmap_png`, base64 of an RGBA picture of
        the same size to lay over it (or, with `resize` squash, stretched over the file's picture);
        `resize`, `method`, `views` and `layer`.
    """
    bundle, images = predictor.bundle, pixels[np.newaxis]
    values = predictor.predict(images, pad=False)  # a single picture, quickly
    found = evidence(predictor, images, values.argmax(axis=1))
    row = predictor.table(values).iloc[0]
    answer = (
        {"label": str(row["label"]), "confidence": float(row["confidence"])}
        if bundle.task == "classification"
        else {"value": float(row["value"])}
    )
    layer = heat_colors(heat(found, bundle.decode.size_px)[0])
    return {
        **answer,
        "seen_jpeg": _base64(encode_jpeg(pixels.transpose(1, 2, 0), _SEEN_BYTES)),
        "heatmap_png": _base64(encode_png(layer)),
        "resize": bundle.decode.resize,
        "method": METHOD,
        "views": len(bundle.views),
        "layer": layer_name(predictor, found),
    }


def _base64(content: bytes) -> str:
    return base64.b64encode(content).decode("ascii")


def layer_name(predictor: Predictor, evidence_Nhw: Maps) -> str:
    """Return the name of the layer that was looked at, for people."""
    height, width = evidence_Nhw.shape[1:]
    return f"last feature map of {predictor.bundle.architecture}, {height} x {width}"


def _turn_back(map_hw: Tensor, code: int) -> Tensor:
    """Undo `orient`: it transposes first, so here flips come first."""
    return orient(orient(map_hw, code & 3), code & 4)
