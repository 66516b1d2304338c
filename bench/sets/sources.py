"""The data sets of a folder: folders or tar files of pictures in class folders.

A set is `<class>/<file>` or `train|test/<class>/<file>`. What has no such pictures, or fewer than
`LEAST` of them, is passed over with a line that says so.
"""

import os
import shutil
import tarfile
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from importlib.metadata import distribution
from pathlib import Path, PurePosixPath

LEAST = 100
"""Pictures below which a set tells nothing."""

QUICK = 120
"""Pictures that are left of a set in a quick run, about."""

_SUFFIXES = {".bmp", ".gif", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp"}
_DEEPEST = 3


@dataclass(frozen=True)
class Source:
    """A set.

    Attributes:
        name: In tables and of folders.
        place: A folder, or a tar file; None for the demonstration data.
    """

    name: str
    place: Path | None

    def unpack(self, scratch: Path, *, is_quick: bool) -> Path:
        """Return the folder of its pictures, made in the scratch folder where it must be."""
        folder = scratch / self.name
        if self.place is not None and self.place.is_dir() and not is_quick:
            return self.place.resolve()
        if not folder.exists():
            part = scratch / f"{self.name}.part"
            shutil.rmtree(part, ignore_errors=True)
            part.mkdir(parents=True)
            self._fill(part)
            if is_quick:
                _thin_out(part)
            part.rename(folder)
        return folder.resolve()

    def _fill(self, folder: Path) -> None:
        if self.place is None:
            _write_demonstration(folder)
        elif self.place.is_dir():
            shutil.copytree(self.place, folder, dirs_exist_ok=True)
        else:
            with tarfile.open(self.place) as archive:
                archive.extractall(folder, filter="data")


def find_sources(folder: Path | None, *, with_demonstration: bool) -> Iterator[Source]:
    """Yield the sets, by name; print a line for each one that is passed over."""
    if with_demonstration:
        yield Source("elpv", None)
    for place in sorted(folder.iterdir()) if folder else ():
        if not (place.is_dir() or place.suffix == ".tar"):
            continue
        name = place.name.removesuffix(".tar")
        if reason := why_not(_names(place)):
            print(f"-- {name} is passed over: {reason}", flush=True)
        else:
            yield Source(name, place)


def why_not(names: Iterable[str]) -> str | None:
    """Return why files of these names are no set; None for a set."""
    paths = [PurePosixPath(name.removeprefix("./")) for name in names]
    pictures = [each for each in paths if each.suffix.lower() in _SUFFIXES]
    classes = {each.parent.name for each in pictures if 2 <= len(each.parts) <= _DEEPEST}
    if len(classes) < 2:
        return "it has no pictures in class folders"
    if len(pictures) < LEAST:
        return f"{len(pictures)} pictures tell nothing"
    return None


def _names(place: Path) -> list[str]:
    if place.is_dir():
        return [each.relative_to(place).as_posix() for each in place.rglob("*") if each.is_file()]
    with tarfile.open(place) as archive:
        return [each.name for each in archive if each.isfile()]


def _thin_out(folder: Path) -> None:
    """Leave about `QUICK` pictures, the same number in each of the folders that hold them."""
    holders = defaultdict(list)
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            holders[path.parent].append(path)
    for paths in holders.values():
        for path in paths[max(4, QUICK // len(holders)) :]:
            path.unlink()


def _write_demonstration(folder: Path) -> None:
    """Sort the cells of the package elpv-dataset into two class folders.

    Without the weights of its label file: nobody else could use them.
    """
    source = Path(str(distribution("elpv-dataset").locate_file("elpv_dataset"))) / "data"
    for line in (source / "labels.csv").read_text(encoding="utf-8").splitlines():
        path, chance, _ = line.split()
        place = folder / ("defective" if float(chance) > 0.5 else "functional")
        place.mkdir(exist_ok=True)
        shutil.copyfile(source / path, place / os.path.basename(path))  # noqa: PTH119
