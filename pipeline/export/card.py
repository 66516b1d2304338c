"""`export.json`: what an exported file takes and gives, where it comes from, what was compared."""

from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from pipeline.export.compare import Difference
from pipeline.export.formats import Written, output_name
from pipeline.export.pictures import Pictures
from pipeline.files import sha256_file
from pipeline.model.bundle import Bundle
from pipeline.track.fetch import ModelFolder

VERSION = 1


def describe(written: Written, bundle: Bundle) -> dict[str, Any]:
    """Say what a file takes and gives."""
    size = bundle.decode.size_px
    shape = ["batch", 3, size, size]
    is_classes = bundle.task == "classification"
    pixels = {"layout": "NCHW", "channels": "RGB", "shape": shape}
    last = {"temperature": bundle.temperature} if is_classes else {
        "target_mean": bundle.target_mean, "target_std": bundle.target_std}  # fmt: skip
    takes: dict[str, Any]
    if written.is_whole:
        takes = {"name": "pictures", "dtype": "uint8", "range": [0, 255], **pixels}
        name, dtype = output_name(bundle), "float32" if is_classes else "float64"
    else:
        takes = {"name": "values", "dtype": "float32", "range": None, **pixels}
        name, dtype = "logits" if is_classes else "standardized values", "float32"
    return {
        "task": bundle.task,
        "target": bundle.target,
        "input": takes,
        "output": {
            "name": name, "dtype": dtype, "shape": ["batch", bundle.num_outputs],
            "classes": list(bundle.classes) if is_classes else None,
        },
        "in_the_file": written.is_whole,
        "before_the_model": {
            "decode": bundle.decode.to_dict(),
            "multiplier": bundle.normalization.multiplier.tolist(),
            "offset": bundle.normalization.offset.tolist(),
            "views": list(bundle.views),
        },
        "after_the_model": {"views": "mean", **last},
        "architecture": bundle.architecture,
        "pooling": bundle.pooling,
        "precision": "fp32",
        "notes": dict(written.notes),
    }  # fmt: skip


def compared(
    found: Sequence[Difference], pictures: Pictures, *, tolerance: float, how: str
) -> dict[str, Any]:
    """Say what was compared, and how large the differences were."""
    return {
        "with": {each.precision: each.to_dict() for each in found},
        "tolerance": {"fp32": tolerance},
        "pictures": len(pictures.paths),
        "kind": pictures.kind,
        "how": how,
    }


def source(model: ModelFolder, bundle: Bundle) -> dict[str, Any]:
    """Say where a file comes from; a folder is not named, since its path is this machine's."""
    return {
        "model": model.uri if model.name is not None else None,
        "md5": model.md5,
        "precision": bundle.precision,
        "weights_sha256": bundle.weights_sha256,
        "fingerprint": bundle.fingerprint,
    }


def files(folder: Path) -> dict[str, Any]:
    """List the files of an export, with digests."""
    return {
        path.name: {"sha256": sha256_file(path), "bytes": path.stat().st_size}
        for path in sorted(folder.iterdir())
    }


def versions(packages: Sequence[str]) -> dict[str, str]:
    """Give the installed versions of packages."""
    return {name: version(name) for name in packages}
