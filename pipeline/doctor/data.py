"""The raw folder, before `dvc add` or a stage meets it: what is in it, and what `clean` will say.

The judges are `clean`'s own. What the last build saw of a file stands, the other files are opened
while time allows; one that is left is taken for a good item of its own.

`python -m pipeline.doctor.data` prints the findings as JSON: this takes as long as all else that
the doctor looks at, and runs beside it.
"""

import hashlib
import json
import sys
import time
from collections import Counter
from collections.abc import Collection, Generator, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from heapq import nsmallest
from pathlib import Path
from typing import Any

from pipeline.clean.case import Rules
from pipeline.clean.kept_probes import KeptProbes
from pipeline.clean.placeholders import causes
from pipeline.clean.probe_all import probe_all
from pipeline.clean.probe_cache import known_probes, made_from
from pipeline.clean.run import Cleaned, judge
from pipeline.clean.table import list_items, tabulate
from pipeline.compute.engine import MachineParams
from pipeline.doctor.data_process import RawFolder
from pipeline.doctor.preflight import dvc_file, graph_file, look_for_data
from pipeline.ground.errors import DataError, ParamsError
from pipeline.ground.files import read_json
from pipeline.ground.findings import Finding, demoted, gather, ok, warn
from pipeline.ground.params import Task, in_force, load_section, load_value, read_params
from pipeline.ground.stage import PARAMS
from pipeline.manifest.forgotten import forgotten, read_forgettings
from pipeline.manifest.manifest import KEPT, SPLITS, reasons
from pipeline.manifest.params import SplitParams
from pipeline.manifest.pins import read_pins
from pipeline.manifest.review import read_review
from pipeline.manifest.split import count_splits
from pipeline.modality.files import files
from pipeline.modality.reading import reader
from pipeline.modality.sections import modality_meant, sections
from pipeline.modality.types.params import CleanParams
from pipeline.modality.types.probe import Probe
from pipeline.raw.bucket.pointer import read_bucket
from pipeline.raw.item import RawItems
from pipeline.raw.items import find_items
from pipeline.raw.params import DataParams
from pipeline.raw.unsafe_entries import refuse_unsafe_entries, walk
from pipeline.repo.git import ask_git
from pipeline.repo.recorded_outs import read_outs
from pipeline.store.spill import MEMORY

_REVIEW = Path("review")
_PROBES, _KEY = Path("artifacts/clean/probes.parquet"), Path("artifacts/clean/key.json")
_FEWEST, _MOST, _SAMPLE_S = 64, 5000, 2.0
"""Items that are opened at least and at most, and the seconds after which no more are."""

_FAST_BYTES = 500_000_000
"""A folder of fewer bytes is read as a whole, where the last build saw its files."""

_MANY_FILES = 100_000
"""DVC hashes, links and compares every file by itself: with more it gets slow."""

_SHOWN = 8
"""Warnings, and classes, that are named."""


@dataclass(frozen=True)
class Expectations:
    """The params that say what the raw folder is for."""

    task: Task
    data: DataParams
    clean: CleanParams
    split: SplitParams
    machine: MachineParams


def check_data(wanted: Expectations) -> Generator[Finding, None, RawFolder | None]:
    """Check the folder, its layout and labels, and what `clean` makes of its items.

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
    sizes = [entry.stat().st_size for entry in walk(str(raw)) if entry.is_file()]
    if len(sizes) > _MANY_FILES:
        yield warn(
            raw,
            f"has {len(sizes)} files, and DVC treats each by itself, slowly",
            "pack them into some tar files of 1 to 10 GB",
        )
    found = find_items(raw, labels, ignore=wanted.clean.ignore, **wanted.data.meaning())
    openable = [each.path for each in found.items if each.reason in (None, "conflict")]
    yield ok(raw, _counted(found, wanted.task))
    bucket = read_bucket(raw)
    size = sum(sizes) + (bucket.size_bytes() if bucket else 0)
    probes = _look(raw, found, openable, wanted, is_fast=size < _FAST_BYTES)
    yield ok(raw, _opened(probes, len(openable), found.modality))
    in_train = yield from _judged(raw, found, openable, probes, wanted)
    return RawFolder(len(found.items), sum(sizes), in_train)


def _absent(place: Path) -> Finding:
    tracked, made = dvc_file(place), graph_file(place)
    if tracked:
        return warn(place, f"is tracked by {tracked}, and not here", f"run `dvc pull {tracked}`")
    return ok(place, f"is not here yet; {made} makes it")


def _recorded(place: Path) -> RawFolder | None:
    """Return what DVC's file says of a folder that is not here."""
    tracked, made = dvc_file(place), graph_file(place)
    source = tracked or (made and made.with_suffix(".lock"))
    if not (source and source.is_file()):
        return None
    outs = read_outs(source)
    sizes: dict[str, Any] = next((out for out in outs if str(place).endswith(out["path"])), {})
    if "nfiles" not in sizes:
        return None
    return RawFolder(int(sizes["nfiles"]), int(sizes.get("size", 0)))


def _versioned(raw: Path) -> Iterator[Finding]:
    """Check who keeps the versions of the raw data: DVC should, git should not."""
    in_git = (ask_git(Path(), "ls-files", "-z", "--", str(raw)) or "").count("\0")
    if in_git:
        yield warn(
            raw,
            f"{in_git} of its files are in git, and `dvc add` refuses such a folder",
            f"run `git rm -r --cached {raw}`, then `dvc add {raw}`",
        )
    elif not (dvc_file(raw) or graph_file(raw)) and any(
        each.is_symlink() for each in (raw, *raw.parents)
    ):
        yield warn(
            raw,
            "is not under DVC, which refuses a folder that is a link: its versions are not kept",
            "mount the folder there, `mount --bind`; or move it there, and keep "
            "DVC's cache on the other disk: `dvc config --local cache.dir <folder>`, `dvc "
            "config cache.type symlink`, `dvc add`",
        )
    elif not (dvc_file(raw) or graph_file(raw)):
        yield warn(
            raw,
            "is not under DVC: its versions are not kept, and `dvc push` will not share it",
            f"run `dvc add {raw}`",
        )


def _counted(found: RawItems, task: Task) -> str:
    usable = [each for each in found.items if each.reason is None]
    text = f"{len(found.items)} items, {found.layout}"
    if task == "classification":
        classes = Counter(each.label for each in usable if each.label is not None)
        named = [f"{name!r} {n}" for name, n in sorted(classes.items())]
        text += f", {len(named)} classes: {_some(named)}"
    splits = Counter(each.split for each in usable if each.split is not None)
    if splits:
        text += "; " + ", ".join(f"{split} {splits[split]}" for split in SPLITS)
    unlabeled = sum(each.label is None for each in usable)
    return text + (f"; {unlabeled} without a label" if unlabeled else "")


def _some(texts: Sequence[str]) -> str:
    more = f" and {len(texts) - _SHOWN} more" if len(texts) > _SHOWN else ""
    return ", ".join(texts[:_SHOWN]) + more


def _look(
    raw: Path, found: RawItems, openable: Sequence[str], wanted: Expectations, *, is_fast: bool
) -> dict[str, Probe]:
    """Open items in the order of their paths' hashes: all of few, of many as time allows.

    What the last build saw of a file stands, if reading all of them is fast.
    """
    quiet, modality = wanted.machine.model_copy(update={"progress": "none"}), found.modality
    is_known = is_fast and _is_of(modality, wanted.clean)
    known = known_probes(_PROBES if is_known else None, modality)
    by_hash = ((hashlib.sha256(path.encode()).digest(), path) for path in openable)
    paths = [path for _, path in nsmallest(_MOST, by_hash)]
    probes: dict[str, Probe] = {}
    deadline = time.monotonic() + _SAMPLE_S
    look = reader(modality).look(wanted.clean)
    seen = probe_all(raw, paths, look, quiet, known=known.probes)
    for path, probe in zip(paths, seen, strict=True):
        if not probes and known.probes:  # all were read until the first one came
            deadline = time.monotonic() + _SAMPLE_S
        probes[path] = probe
        if len(probes) >= _FEWEST and time.monotonic() > deadline and len(probes) < len(paths):
            break
    return dict(sorted(probes.items()))


def _is_of(modality: str, clean: CleanParams) -> bool:
    """Check whether the last build looked at files as the next one would."""
    return _KEY.exists() and _PROBES.exists() and read_json(_KEY) == made_from(modality, clean)


def _opened(probes: Mapping[str, Probe], openable: int, modality: str) -> str:
    good = [each for each in probes.values() if not each.reason]
    looks = f": {reader(modality).describe(good)}" if good else ""
    _, nouns = files(modality).NOUN
    return f"{len(probes)} of {openable} items were opened, {len(good)} are {nouns}{looks}"


def _judged(
    raw: Path,
    found: RawItems,
    openable: Sequence[str],
    probes: Mapping[str, Probe],
    wanted: Expectations,
) -> Generator[Finding, None, int | None]:
    """Let `clean` judge all items; tell what it says, and return the kept items of train.

    Raises:
        DataError: `clean` would stop.
    """
    decisions = read_review(_REVIEW, raw)
    if decisions:
        yield ok(_REVIEW, f"{len(decisions)} decisions on items")
    unseen: set[str] = set()
    if len(probes) < len(openable):
        unseen = set(decisions) - {str(each.id) for each in probes.values()}
        decisions = {key: each for key, each in decisions.items() if key not in unseen}
    pins = read_pins(_REVIEW, raw)
    gone = forgotten(read_forgettings(_REVIEW))
    rules = Rules(wanted.task, wanted.clean, wanted.split, pins, decisions, gone)
    like = next((each for each in probes.values() if not each.reason), None)
    part = reader(found.modality)
    unread = part.unread(like)
    presumed = KeptProbes.keep(
        (
            probes.get(path) or replace(unread, content_hash=f"not opened: {path}")
            for path in openable
        ),
        found.modality,
        MEMORY,
    )
    table = tabulate(list_items(found), presumed)
    try:
        cleaned = judge(table, presumed, found, rules, where=str(raw))
    except DataError as error:
        yield from (warn(raw, each) for each in causes(table, part))
        yield from _foreseen(error, unseen)
        return None
    yield from _told(raw, cleaned)
    return count_splits(cleaned.manifest["split"])["train"]


def _foreseen(error: DataError, unseen: Collection[str]) -> Iterator[Finding]:
    """Yield what `clean` stops at; a warning where decisions on unopened items may settle it."""
    if not unseen:
        raise error
    told = demoted(error)
    yield replace(told, text=f"{told.text}; `clean` stops at it unless {_REVIEW} settles it")


def _told(raw: Path, cleaned: Cleaned) -> Iterator[Finding]:
    """Yield what the report of `clean` would say."""
    part = reader(cleaned.modality)
    warnings = cleaned.report["warnings"]
    yield from (warn(raw, each) for each in warnings[:_SHOWN])
    if len(warnings) > _SHOWN:
        yield warn(raw, f"{len(warnings) - _SHOWN} more warnings, which `clean` logs")
    table = cleaned.table
    for (status, reason), rows in table[table["status"] != KEPT].groupby(["status", "reason"]):
        first = rows.iloc[0]
        yield warn(
            raw,
            f"{len(rows)} items will be {status} as {reason}; first: "
            f"{first['path']!r}: {first['detail'] or reasons(cleaned.modality)[str(reason)]}",
        )
    for note, seen in cleaned.report["notes"].items():
        if note not in part.alarms:  # those are among the warnings
            first = seen["first"]
            yield warn(raw, f"{seen['n']} items: {part.notes[note]}; first: {first!r}")


def expectations() -> Expectations | None:
    """Read what the check needs of params.yaml; None where some of it is wrong."""
    try:
        params = in_force(read_params(PARAMS))
        own = sections(modality_meant(params))
        return Expectations(
            task=load_value(params, "task", Task, path=PARAMS),
            data=load_section(params, "data", DataParams, path=PARAMS),
            clean=load_section(params, "clean", own["clean"], path=PARAMS),
            split=load_section(params, "split", SplitParams, path=PARAMS),
            machine=load_section(params, "machine", MachineParams, path=PARAMS),
        )
    except ParamsError:  # the check of params.yaml tells it
        return None


def main() -> int:
    """Print the findings and the folder as JSON, for another process."""
    wanted = expectations()
    found, raw = gather("data", check_data(wanted)) if wanted else ([], None)
    content = {"findings": [asdict(each) for each in found], "raw": raw and asdict(raw)}
    sys.stdout.write(json.dumps(content))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
