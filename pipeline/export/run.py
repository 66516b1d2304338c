"""Export a model: a folder with the file, how it is used, and what was compared; or nothing."""

import logging
import os
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from pipeline.export import card
from pipeline.export.card import CARD, USE, text
from pipeline.export.compare import decoded, difference, expected, refuse_beyond
from pipeline.export.items import Pictures, gather
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
from pipeline.model.bundle import Bundle, Values
from pipeline.picture.export.formats import WRITERS, Written, output_name
from pipeline.picture.export.pickled import WARNING
from pipeline.picture.export.usage import compose
from pipeline.version.fetch import ModelFolder

__all__ = ["Request", "export", "text"]

log = logging.getLogger(__name__)

BUNDLE = "bundle.json"
_BATCH = 8


@dataclass(frozen=True)
class Request:
    """What is asked for.

    Attributes:
        format: One of `WRITERS`.
        target: The folder; absent, empty, or an older export, which is replaced.
        pictures: A folder of pictures to compare on; None: test items, or generated ones.
        items: Compare on so many at most.
        tolerance: The largest difference from the model in single precision: of a probability, or
            of a value in deviations of the target.
    """

    format: str
    target: Path
    pictures: Path | None
    items: int
    tolerance: float


def export(model: ModelFolder, request: Request) -> dict[str, Any]:
    """Write an export, compared with the predictor; gives what `export.json` holds.

    Raises:
        ParamsError: A value cannot be used, or the format cannot hold the architecture.
        DataError: A picture cannot be used.
        MachineError: Packages are missing.
        IntegrityError: The model is damaged, or the export predicts something else.
    """
    _check(request)
    bundle = Bundle.load(model.bundle)
    with tempfile.TemporaryDirectory(prefix="rootstock-export-") as scratch:
        pictures = gather(Path(scratch), given=request.pictures, items=request.items)
        wanted = {
            each: expected(model.model, bundle, pictures, precision=each)
            for each in sorted({"fp32", bundle.precision}, reverse=True)
        }
        with replacing_folder(request.target) as folder:
            written = WRITERS[request.format](folder, model.model, bundle)
            shutil.copyfile(model.bundle, folder / BUNDLE)
            write_text(folder / USE, compose(written.use, bundle, output=output_name(bundle)))
            got, how = _predict(written, folder, bundle, pictures)
            found = [difference(got, values, bundle, each) for each, values in wanted.items()]
            refuse_beyond(request.tolerance, found, written.file, len(pictures.paths))
            record = {
                "version": card.VERSION,
                "format": request.format,
                "source": card.source(model, bundle),
                **card.describe(written, bundle),
                "compared": card.compared(found, pictures, tolerance=request.tolerance, how=how),
                "versions": card.versions(written.packages),
                "files": card.files(folder),
            }
            write_json(folder / CARD, record)
    return record


def _check(request: Request) -> None:
    where = "rootstock export"
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
    if request.format == "pickle":
        log.warning("%s", WARNING)


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


def _predict(
    written: Written, folder: Path, bundle: Bundle, pictures: Pictures
) -> tuple[Values, str]:
    """Return what an export predicts, and how that was found; a pickle is not loaded."""
    if written.file.endswith(".pickle"):
        images = np.stack(
            [decoded(*each, bundle) for each in zip(pictures.paths, pictures.names, strict=True)]
        )
        with torch.inference_mode():
            parts = [written.model(each) for each in torch.from_numpy(images).split(_BATCH)]
        return torch.cat(parts).double().numpy(), "the module before it was pickled"
    forbidden = [] if "timm" in written.use.packages else ["timm", "torchvision", "safetensors"]
    if "torch" not in written.use.packages:
        forbidden.append("torch")
    values = run_use(folder / USE, pictures.paths, bundle, forbidden=forbidden)
    return values, "use.py in a fresh process that cannot import Rootstock, from the files"
