"""The raw folder, before `dvc add` or a stage meets it: what is in it, and whether it will do."""

import hashlib
import time
from collections import Counter
from collections.abc import Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from heapq import nsmallest
from pathlib import Path
from typing import Any

from pipeline.data.checks import size_fault
from pipeline.data.clean import CleanParams, Rules
from pipeline.data.guard import refuse_unsafe_entries, walk
from pipeline.data.item import Item, RawItems
from pipeline.data.items import find_items
from pipeline.data.manifest import SPLITS
from pipeline.data.params import DataParams
from pipeline.data.probe import NOTES, Probe
from pipeline.data.probing import probe_all
from pipeline.data.review import read_review, review_file
from pipeline.data.split import SplitParams
from pipeline.doctor.findings import Finding, demoted, ok, warn
from pipeline.doctor.labeling import judge_labels, some
from pipeline.doctor.preflight import dvc_file, graph_file, look_for_data
from pipeline.errors import DataError
from pipeline.git import ask_git
from pipeline.parallel import MachineParams
from pipeline.params import Task, read_params
from pipeline.track.registry import RegistryParams
from pipeline.train.loop import TrainParams

_REVIEW = Path("review")
_FEWEST, _MOST, _SAMPLE_S = 64, 2000, 10.0
"""Items that are opened at least and at most, and the seconds after which no more are."""

_MANY_FILES = 100_000
"""DVC hashes, links and compares every file by itself: with more it gets slow."""

_SHOWN = 8
"""Warnings that are told."""


@dataclass(frozen=True)
class RawFolder:
    """What other checks want to know."""

    items: int
    files_bytes: int
    """Of all files in the folder."""


@dataclass(frozen=True)
class Expectations:
    """The params that say what the raw folder is for."""

    task: Task
    data: DataParams
    clean: CleanParams
    split: SplitParams
    train: TrainParams
    machine: MachineParams
    registry: RegistryParams


def check_data(wanted: Expectations) -> Generator[Finding, None, RawFolder | None]:
    """Check the folder, its layout and labels, and a sample of its pictures.

    Returns:
        What lies there, or what DVC recorded of it; None where nobody knows.

    Raises:
        ParamsError: There is no such folder, and nothing makes or tracks it.
        DataError: `clean` would refuse it.
    """
    raw, labels = Path(wanted.data.path), Path(wanted.data.labels)
    for field, place in (("path", raw), ("labels", labels)):
        look_for_data(field, place)
    if not (raw.exists() and labels.exists()):
        absent = labels if raw.exists() else raw
        yield _absent(absent)
        return _recorded(absent)
    refuse_unsafe_entries(raw)
    yield from _versioned(raw)
    found = find_items(
        raw,
        labels,
        target=wanted.data.target,
        layout=wanted.data.layout,
        ignore=wanted.clean.ignore,
    )
    usable = [each for each in found.items if each.reason is None]
    yield ok(raw, _counted(found, usable, wanted.task))
    yield from (warn(raw, each) for each in found.warnings[:_SHOWN])
    yield from _unusable(raw, found)
    decisions = read_review(_REVIEW, raw)
    review = review_file(_REVIEW, raw) if decisions else None
    rules = Rules(wanted.task, wanted.clean, wanted.split)
    told = judge_labels(raw, found, rules, batch_size=wanted.train.batch_size)
    yield from _unless_decided(told, review)
    if _is_name_of_other_data(wanted.registry.name, raw):
        yield warn("params.yaml", f"registry.name: {wanted.registry.name!r} is the name of other "
                   "data; a champion is chosen among models by numbers on their own test items",
                   "give these models a name of their own")  # fmt: skip
    if decisions:
        yield ok(_REVIEW, f"{len(decisions)} decisions on items")
    yield from _unless_decided(_sample(raw, usable, wanted), review)
    sizes = [entry.stat().st_size for entry in walk(str(raw)) if entry.is_file()]
    if len(sizes) > _MANY_FILES:
        yield warn(raw, f"has {len(sizes)} files, and DVC treats each by itself, slowly",
                   "pack them into some tar files of 1 to 10 GB")  # fmt: skip
    return RawFolder(len(found.items), sum(sizes))


def _unless_decided(findings: Iterator[Finding], review: Path | None) -> Iterator[Finding]:
    """Tell an error as a warning where decisions of people, named by file, may settle it."""
    try:
        yield from findings
    except DataError as error:
        if review is None:
            raise
        told = demoted(error)
        yield replace(told, text=f"{told.text}; `clean` stops at it unless {review} settles it")


def _is_name_of_other_data(name: str, raw: Path) -> bool:
    """Tell whether there is a folder `data/<name>` that does not hold the raw data."""
    folder = Path("data") / name
    return folder.is_dir() and not raw.is_relative_to(folder)


def _absent(place: Path) -> Finding:
    tracked, made = dvc_file(place), graph_file(place)
    if tracked:
        return warn(place, f"is tracked by {tracked}, and not here", f"run `dvc pull {tracked}`")
    return ok(place, f"is not here yet; {made} makes it")


def _recorded(place: Path) -> RawFolder | None:
    """Give what DVC's file says of a folder that is not here."""
    tracked, made = dvc_file(place), graph_file(place)
    source = tracked or (made and made.with_suffix(".lock"))
    if not (source and source.is_file()):
        return None
    content = read_params(source)
    stages = (content.get("stages") or {}).values()
    made_by = [content, *stages]
    outs = [out for each in made_by for out in each.get("outs") or ()]
    sizes: dict[str, Any] = next((out for out in outs if str(place).endswith(out["path"])), {})
    if "nfiles" not in sizes:
        return None
    return RawFolder(int(sizes["nfiles"]), int(sizes.get("size", 0)))


def _versioned(raw: Path) -> Iterator[Finding]:
    """Tell who keeps the versions of the raw data: DVC should, git should not."""
    in_git = (ask_git(Path(), "ls-files", "-z", "--", str(raw)) or "").count("\0")
    if in_git:
        yield warn(raw, f"{in_git} of its files are in git, and `dvc add` refuses such a folder",
                   f"run `git rm -r --cached {raw}`, then `dvc add {raw}`")  # fmt: skip
    elif not (dvc_file(raw) or graph_file(raw)):
        yield warn(raw, "is not under DVC: its versions are not kept, and `dvc push` will not "
                   "share it", f"run `dvc add {raw}`")  # fmt: skip


def _counted(found: RawItems, usable: Sequence[Item], task: Task) -> str:
    text = f"{len(found.items)} items, {found.layout}"
    if task == "classification":
        classes = Counter(each.label for each in usable if each.label is not None)
        named = [f"{name!r} {n}" for name, n in sorted(classes.items())]
        text += f", {len(named)} classes: {some(named)}"
    splits = Counter(each.split for each in usable if each.split is not None)
    if splits:
        text += "; " + ", ".join(f"{split} {splits[split]}" for split in SPLITS)
    unlabeled = sum(each.label is None for each in usable)
    return text + (f"; {unlabeled} without a label" if unlabeled else "")


def _unusable(raw: Path, found: RawItems) -> Iterator[Finding]:
    """Tell of items that `clean` will quarantine without opening them."""
    lost: dict[str, list[Item]] = {}
    for each in found.items:
        if each.reason is not None:
            lost.setdefault(each.reason, []).append(each)
    for reason, items in sorted(lost.items()):
        yield warn(raw, f"{len(items)} items will be quarantined as {reason}; first: "
                   f"{items[0].path!r}: {items[0].detail}")  # fmt: skip


def _sample(raw: Path, usable: Sequence[Item], wanted: Expectations) -> Iterator[Finding]:
    """Decode items in the order of their paths' hashes: all of few, of many as time allows."""
    by_hash = ((hashlib.sha256(each.path.encode()).digest(), each.path) for each in usable)
    paths = [path for _, path in nsmallest(_MOST, by_hash)]
    quiet = wanted.machine.model_copy(update={"progress": "none"})
    deadline = time.monotonic() + _SAMPLE_S
    probes: dict[str, Probe] = {}
    for path, probe in zip(paths, probe_all(raw, paths, wanted.clean.limits(), quiet), strict=True):
        probes[path] = _sized(probe, wanted.clean)
        if len(probes) >= _FEWEST and time.monotonic() > deadline:
            break
    probes = dict(sorted(probes.items()))
    bad = {path: each for path, each in probes.items() if each.reason}
    good = {path: each for path, each in probes.items() if not each.reason}
    if bad:
        yield from _bad(raw, bad, len(probes), wanted)
    if good:
        yield ok(raw, f"{len(probes)} of {len(usable)} items were opened, {len(good)} are "
                 f"pictures: {_looks(good)}")  # fmt: skip
    yield from _notes(raw, good)
    yield from _copies(raw, good, {each.path: each for each in usable}, wanted.clean)


def _sized(probe: Probe, clean: CleanParams) -> Probe:
    """Give a picture of a size that `clean` refuses its reason."""
    if probe.reason or probe.width is None or probe.height is None:
        return probe
    fault = size_fault(
        probe.width, probe.height, min_side_px=clean.min_side_px, max_aspect=clean.max_aspect
    )
    return replace(probe, reason=fault[0], detail=fault[1]) if fault else probe


def _bad(raw: Path, bad: dict[str, Probe], sampled: int, wanted: Expectations) -> Iterator[Finding]:
    reasons = Counter(str(each.reason) for each in bad.values())
    path, first = next(iter(bad.items()))
    named = ", ".join(f"{reason} {n}" for reason, n in sorted(reasons.items()))
    text = f"{len(bad)} of {sampled} items that were opened cannot be used: {named}; first: "
    text += f"{path!r}: {first.detail or first.reason}"
    if len(bad) == sampled:
        raise DataError(raw, text, remedy="the data folder must hold pictures, and files of labels")
    limit = wanted.clean.max_bad_frac
    remedy = "`clean` will quarantine such files, each with its reason"
    if len(bad) > limit * sampled:
        remedy = f"`clean` stops above a share of {limit:g}, clean.max_bad_frac"
    yield warn(raw, text, remedy)


def _looks(good: Mapping[str, Probe]) -> str:
    sides = sorted((each.width or 0, each.height or 0) for each in good.values())
    small, middle, large = (
        f"{width} x {height}" for width, height in (sides[0], sides[len(sides) // 2], sides[-1])
    )
    formats = ", ".join(sorted({str(each.format) for each in good.values()}))
    if small == large:
        return f"{formats}, all {small} pixels"
    return f"{formats}, {small} to {large} pixels, the middle one {middle}"


def _notes(raw: Path, probes: Mapping[str, Probe]) -> Iterator[Finding]:
    """Tell what was noticed of pictures that are fine otherwise."""
    seen: dict[str, list[str]] = {}
    for path, probe in probes.items():
        for note in probe.notes:
            seen.setdefault(note, []).append(path)
    for note, where in sorted(seen.items()):
        yield warn(raw, f"{len(where)} of {len(probes)} pictures that were opened: "
                   f"{NOTES.get(note, note)}; first: {where[0]!r}")  # fmt: skip


def _copies(
    raw: Path, good: Mapping[str, Probe], items: Mapping[str, Item], clean: CleanParams
) -> Iterator[Finding]:
    """Tell of equal pictures among those that were opened.

    Raises:
        DataError: One stands in two given splits, and leaks are refused.
    """
    same: dict[str | None, list[Item]] = {}
    for path, probe in good.items():
        same.setdefault(probe.pixel_hash, []).append(items[path])
    groups = [copies for copies in same.values() if len(copies) > 1]
    at_odds = [copies for copies in groups if len({each.label for each in copies}) > 1]
    if at_odds:
        named = " and ".join(f"{each.path!r}" for each in at_odds[0][:2])
        yield warn(raw, f"{len(at_odds)} pictures lie there several times, with labels that "
                   f"disagree; first: {named}", "`clean` will quarantine all of them")  # fmt: skip
    agreeing = [copies for copies in groups if copies not in at_odds]
    leaks = [copies for copies in agreeing if len({each.split for each in copies}) > 1]
    if leaks and clean.leaks == "refuse":
        first, *more = leaks[0]
        other = next(each for each in more if each.split != first.split)
        raise DataError(
            raw, f"{len(leaks)} pictures stand in two of the given splits; first: {first.path!r} "
            f"in {first.split} and {other.path!r} in {other.split}",
            remedy="give both one split, remove one, or set clean.leaks to drop",
        )  # fmt: skip
    if agreeing:
        yield warn(raw, f"{len(agreeing)} pictures lie there several times; first: "
                   f"{agreeing[0][1].path!r}", "`clean` will keep one of each")  # fmt: skip
