"""Export a model: a folder with the file, how it is used, and what was compared; or nothing."""

import os
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from pipeline.export import card
from pipeline.export.card import CARD, USE, text
from pipeline.export.compare import difference, expected, refuse_beyond, rows_of
from pipeline.export.formats import Exporter, Written
from pipeline.export.items import Items, Wanted, gather
from pipeline.export.onnx import require_packages
from pipeline.export.run_use import run_use
from pipeline.ground.errors import DataError, IntegrityError, ParamsError
from pipeline.ground.files import (
    read_json,
    replacing_folder,
    sha256_file,
    target_fault,
    write_json,
    write_text,
)
from pipeline.modality.shown.exporting import exporter
from pipeline.model.bundle import Bundle, Values
from pipeline.version.fetch import ModelFolder

__all__ = ["Request", "export", "text"]

BUNDLE = "bundle.json"
_BATCH = 8
_LARGE = ("safetensors", "timm", "tokenizers", "torch", "torchvision")
_OF_TIMM = ("safetensors", "torchvision")


@dataclass(frozen=True)
class Request:
    """What is asked for.

    Attributes:
        format: One of those of the modality.
        target: The folder; absent, empty, or an older export, which is replaced.
        given: A folder of items to compare on; None: test items, or generated ones.
        items: Compare on so many at most.
        tolerance: The largest difference from the model in single precision: of a probability, or
            of a value in deviations of the target.
    """

    format: str
    target: Path
    given: Path | None
    items: int
    tolerance: float


def export(model: ModelFolder, request: Request) -> dict[str, Any]:
    """Write an export, compared with the predictor; gives what `export.json` holds.

    Raises:
        ParamsError: A value cannot be used, or the format cannot hold the architecture.
        DataError: An item cannot be used.
        MachineError: Packages are missing.
        IntegrityError: The model is damaged, or the export predicts something else.
    """
    own: Exporter = exporter(model.modality)
    _check(request, own)
    bundle = Bundle.load(model.bundle)
    with tempfile.TemporaryDirectory(prefix="rootstock-export-") as scratch:
        wanted_items = Wanted(model.modality, request.given, request.items)
        items = gather(Path(scratch), wanted_items, own.generated)
        wanted = {
            each: expected(model.model, bundle, items, precision=each)
            for each in sorted({"fp32", bundle.precision}, reverse=True)
        }
        with replacing_folder(request.target) as folder:
            written = own.WRITERS[request.format](folder, model.model, bundle)
            shutil.copyfile(model.bundle, folder / BUNDLE)
            write_text(folder / USE, own.program(written.use, bundle))
            got, how = _predict(written, folder, bundle, items)
            found = [difference(got, values, bundle, each) for each, values in wanted.items()]
            count = f"{len(items.paths)} {items.many}"
            refuse_beyond(request.tolerance, found, written.file, count)
            record = {
                "version": card.VERSION,
                "format": request.format,
                "source": card.source(model, bundle),
                **card.describe(own, written, bundle),
                "compared": card.compared(found, items, tolerance=request.tolerance, how=how),
                "versions": card.versions(written.packages),
                "files": card.files(folder),
            }
            write_json(folder / CARD, record)
    return record


def _check(request: Request, own: Exporter) -> None:
    where = "rootstock export"
    if request.format not in own.WRITERS:
        raise ParamsError(
            where,
            f"must be one of {', '.join(own.WRITERS)} for such a model",
            field="--format",
            got=request.format,
        )
    if request.items < 1:
        raise ParamsError(where, "must be 1 or more", field="--items", got=request.items)
    if not 0 <= request.tolerance < 1:
        raise ParamsError(
            where, "must be 0 or more, and less than 1", field="--tolerance", got=request.tolerance
        )
    target = request.target
    if target.name in ("", "..") or Path.cwd().is_relative_to(os.path.realpath(target)):
        raise ParamsError(
            where,
            "must end in a name, and not be the folder that you work in or one above it",
            field="-o",
            got=target.as_posix(),
            remedy="name another one",
        )
    if fault := target_fault(target):
        raise ParamsError(
            where, fault, field="-o", got=target.as_posix(), remedy="name another one"
        )
    if target.is_symlink() or (target.exists() and not _is_ours(target)):
        raise ParamsError(
            where,
            "must be a folder that is absent, empty, or an older export",
            field="-o",
            got=target.as_posix(),
            remedy="name another one",
        )
    if request.format == "onnx":
        require_packages()


def _is_ours(target: Path) -> bool:
    """Return whether nothing is lost with a folder: it is empty, or an export as it was made."""
    if not target.is_dir():
        return False
    names = {path.name for path in target.iterdir()}
    if not names:
        return True
    try:
        files = read_json(target / CARD)["files"]
        return names == {CARD, *files} and all(
            (target / name).is_file() and sha256_file(target / name) == files[name]["sha256"]
            for name in files
        )
    except (DataError, IntegrityError, KeyError, TypeError):
        return False


def _predict(written: Written, folder: Path, bundle: Bundle, items: Items) -> tuple[Values, str]:
    """Return what an export predicts, and how that was found; a pickle is not loaded."""
    if written.file.endswith(".pickle"):
        rows = torch.from_numpy(rows_of(items, bundle))
        with torch.inference_mode():
            parts = [written.model(each) for each in rows.split(_BATCH)]
        return torch.cat(parts).double().numpy(), "the module before it was pickled"
    needed = {*written.use.packages, *(_OF_TIMM if "timm" in written.use.packages else ())}
    forbidden = [each for each in _LARGE if each not in needed]
    values = run_use(folder / USE, items.paths, bundle, forbidden=forbidden)
    return values, "use.py in a fresh process that cannot import Rootstock, from the files"
