"""`export.json`: what an exported file takes and gives, where it comes from, what was compared."""

from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from pipeline.export.compare import Difference
from pipeline.export.formats import Exporter, Written, output_name
from pipeline.export.items import Items
from pipeline.ground.files import sha256_file
from pipeline.modality.files import files as files_of
from pipeline.modality.table import read_modality, write_modality
from pipeline.model.bundle import Bundle
from pipeline.version.fetch import ModelFolder

VERSION = 1
CARD, USE = "export.json", "use.py"


def describe(own: Exporter, written: Written, bundle: Bundle) -> dict[str, Any]:
    """Return what a file takes and gives, and who does which step of a prediction."""
    is_classes = bundle.task == "classification"
    gives = (output_name(bundle), "float32" if is_classes else "float64")
    last = {"step": "softmax", "temperature": bundle.temperature}
    if not is_classes:
        last = {"step": "scale", "mean": bundle.target_mean, "std": bundle.target_std}
    if not written.is_whole:
        gives = ("logits" if is_classes else "standardized values", "float32")
    return {
        **write_modality(bundle.modality),
        "task": bundle.task,
        "target": bundle.target,
        "architecture": bundle.architecture,
        "pooling": bundle.pooling,
        "precision": "fp32",
        "input": own.takes(written, bundle),
        "output": {
            "name": gives[0],
            "dtype": gives[1],
            "shape": ["batch", bundle.num_outputs],
            "classes": list(bundle.classes) if is_classes else None,
            "temperature_applied": written.is_whole if is_classes else None,
        },
        "steps": [
            *own.steps(written, bundle),
            {"in": written.file if written.is_whole else USE, **last},
        ],
        "notes": dict(written.notes),
    }


def compared(
    found: Sequence[Difference], items: Items, *, tolerance: float, how: str
) -> dict[str, Any]:
    """Return what was compared, and how large the differences were."""
    return {
        "with": {each.precision: each.to_dict() for each in found},
        "tolerance": {"fp32": tolerance},
        items.many: len(items.paths),
        "kind": items.kind,
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
    count = found[files_of(read_modality(record)).NOUN[1]]
    shape = ", ".join(map(str, takes["shape"]))
    sizes = ", ".join(f"{name} {each['bytes']:,} bytes" for name, each in record["files"].items())
    lines = [
        f"{target.as_posix()}: {sizes}",
        f"  takes     {takes['name']}, {takes['dtype']} [{shape}]",
        f"  gives     {gives['name']}, {gives['dtype']} [batch, {gives['shape'][1]}]",
        f"  compared  {count} {found['kind']}: {found['how']}",
    ]
    for precision, each in found["with"].items():
        allowed = found["tolerance"].get(precision)
        limit = "" if allowed is None else f" (allowed are {allowed:g})"
        same = each.get("same_label")
        labels = "" if same is None else f"; same label for {same} of {count}"
        lines.append(
            f"            from the model in {precision} by up to {each['largest']:.2g}"
            f"{limit}{labels}"
        )
    return "\n".join(lines) + "\n"
