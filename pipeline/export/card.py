"""`export.json`: what an exported file takes and gives, where it comes from, what was compared."""

from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from pipeline.export.compare import Difference
from pipeline.export.items import Pictures
from pipeline.ground.files import sha256_file
from pipeline.model.bundle import Bundle
from pipeline.picture.export.formats import Written, output_name
from pipeline.version.fetch import ModelFolder

VERSION = 1
CARD, USE = "export.json", "use.py"


def describe(written: Written, bundle: Bundle) -> dict[str, Any]:
    """Return what a file takes and gives, and who does which step of a prediction."""
    is_classes = bundle.task == "classification"
    takes, gives = ("pictures", "uint8"), (output_name(bundle), "float32")
    if not written.is_whole:
        takes, gives = ("values", "float32"), ("logits", "float32")
    if not is_classes:
        gives = ("values", "float64") if written.is_whole else ("standardized values", "float32")
    size = bundle.decode.size_px
    return {
        "task": bundle.task,
        "target": bundle.target,
        "architecture": bundle.architecture,
        "pooling": bundle.pooling,
        "precision": "fp32",
        "input": {
            "name": takes[0],
            "dtype": takes[1],
            "shape": ["batch", 3, size, size],
            "layout": "NCHW",
            "channels": "RGB",
            "range": [0, 255] if written.is_whole else None,
        },
        "output": {
            "name": gives[0],
            "dtype": gives[1],
            "shape": ["batch", bundle.num_outputs],
            "classes": list(bundle.classes) if is_classes else None,
            "temperature_applied": written.is_whole if is_classes else None,
        },
        "steps": _steps(written, bundle),
        "notes": dict(written.notes),
    }


def _steps(written: Written, bundle: Bundle) -> list[dict[str, Any]]:
    """List the steps from a file to a prediction, in order, and what does each."""
    place = written.file if written.is_whole else USE
    last = {"step": "softmax", "temperature": bundle.temperature}
    if bundle.task == "regression":
        last = {"step": "scale", "mean": bundle.target_mean, "std": bundle.target_std}
    normalization = bundle.normalization
    return [
        {"step": "decode", "in": USE, **bundle.decode.to_dict()},
        {
            "step": "normalize",
            "in": place,
            "multiplier": normalization.multiplier.tolist(),
            "offset": normalization.offset.tolist(),
        },
        {"step": "turn to views", "in": place, "codes": list(bundle.views)},
        {"step": "model", "in": written.file},
        {"step": "mean over views", "in": place},
        {"in": place, **last},
    ]


def compared(
    found: Sequence[Difference], pictures: Pictures, *, tolerance: float, how: str
) -> dict[str, Any]:
    """Return what was compared, and how large the differences were."""
    return {
        "with": {each.precision: each.to_dict() for each in found},
        "tolerance": {"fp32": tolerance},
        "pictures": len(pictures.paths),
        "kind": pictures.kind,
        "how": how,
    }


def source(model: ModelFolder, bundle: Bundle) -> dict[str, Any]:
    """Return where a file comes from; a folder is not named, since its path is this machine's."""
    return {
        "model": model.uri if model.name is not None else None,
        "md5": model.md5,
        "precision": bundle.precision,
        "weights_sha256": bundle.weights_sha256,
    }


def files(folder: Path) -> dict[str, Any]:
    """List the files of an export, with digests."""
    return {
        path.name: {"sha256": sha256_file(path), "bytes": path.stat().st_size}
        for path in sorted(folder.iterdir())
    }


def versions(packages: Sequence[str]) -> dict[str, str]:
    """Return the installed versions of packages."""
    return {name: version(name) for name in packages}


def text(target: Path, record: dict[str, Any]) -> str:
    """Return what people are told of an export."""
    takes, gives, found = record["input"], record["output"], record["compared"]
    shape = ", ".join(map(str, takes["shape"]))
    sizes = ", ".join(f"{name} {each['bytes']:,} bytes" for name, each in record["files"].items())
    lines = [
        f"{target.as_posix()}: {sizes}",
        f"  takes     {takes['name']}, {takes['dtype']} [{shape}]",
        f"  gives     {gives['name']}, {gives['dtype']} [batch, {gives['shape'][1]}]",
        f"  compared  {found['pictures']} {found['kind']}: {found['how']}",
    ]
    for precision, each in found["with"].items():
        allowed = found["tolerance"].get(precision)
        limit = "" if allowed is None else f" (allowed are {allowed:g})"
        same = each.get("same_label")
        labels = "" if same is None else f"; same label for {same} of {found['pictures']}"
        lines.append(
            f"            from the model in {precision} by up to {each['largest']:.2g}"
            f"{limit}{labels}"
        )
    return "\n".join(lines) + "\n"
