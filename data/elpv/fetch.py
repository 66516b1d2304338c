"""Stage `fetch`: build the demonstration data set from its installed package.

Reads   the package `elpv-dataset`
Writes  --raw  images/*.png as they are, and labels.csv: path,label,probability,module_type,weight
"""

import importlib.metadata
import shutil
from pathlib import Path

from pipeline.ground.errors import IntegrityError, MachineError
from pipeline.ground.files import replacing_folder, sha256_file, write_rows
from pipeline.ground.stage import run_stage

PACKAGE = "elpv-dataset"
SOURCE_SHA256 = "0abe6fe7700aea571717d7d7dfec005a47c6207b4cde26a4556b6807a115483d"
"""Of the package's label file: a new release with other labels must not pass unnoticed."""


def main(*, raw: Path) -> None:
    """Copy the pictures and write the labels."""
    source = _package_folder()
    labels = source / "labels.csv"
    found = sha256_file(labels)
    if found != SOURCE_SHA256:
        raise IntegrityError(
            PACKAGE,
            f"must be {SOURCE_SHA256}",
            field="sha256 of labels.csv",
            got=found,
            remedy="install the version in requirements.lock",
        )
    lines = labels.read_text(encoding="utf-8").splitlines()
    rows = [_row(*line.split()) for line in lines]
    with replacing_folder(raw) as folder:
        (folder / "images").mkdir()
        for row in rows:
            shutil.copyfile(source / str(row["path"]), folder / str(row["path"]))
        write_rows(folder / "labels.csv", rows, columns=list(rows[0]))


def _package_folder() -> Path:
    try:
        distribution = importlib.metadata.distribution(PACKAGE)
    except importlib.metadata.PackageNotFoundError as error:
        raise MachineError(
            PACKAGE, "the package is not installed", remedy="run `make install`"
        ) from error
    return Path(str(distribution.locate_file("elpv_dataset"))) / "data"


def _row(path: str, chance: str, module_type: str) -> dict[str, str | float]:
    """Return a label row; the weight is the probability that the assigned label is right."""
    probability = float(chance)
    defective = probability > 0.5
    return {
        "path": path,
        "label": "defective" if defective else "functional",
        "probability": probability,
        "module_type": module_type,
        "weight": round(probability if defective else 1.0 - probability, 6),
    }


if __name__ == "__main__":
    raise SystemExit(run_stage(main))
