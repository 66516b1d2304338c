"""The way from a number, a run or a registered version back to commit, data, weights and code.

Git is asked first: the commit whose own dvc.lock yields the result's key. Where it is gone, the
files that the run keeps under `lineage/` speak. What nobody knows is None, and said so.
"""

import json
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.ground.errors import IntegrityError, ParamsError, PipelineError, TrackingError
from pipeline.ground.files import md5_file, read_json
from pipeline.ground.params import read_params
from pipeline.keys.keys import Recorded, run_keys
from pipeline.promotion.decisions import Decision, read_audit
from pipeline.repo.cache import cache_folder, object_path
from pipeline.repo.git import ask_git, ask_line, has_commit
from pipeline.repo.history import find_lock, show
from pipeline.repo.lock import AUDIT, LOCK, PARAMS, Lock
from pipeline.track.runs import flatten
from pipeline.version.lookup import Found, Lookup

METRICS = Path("artifacts/evaluate/metrics.json")
BUNDLE = "artifacts/train/bundle.json"
RECORD = "artifacts/weights/backbone.json"


@dataclass(frozen=True)
class Commit:
    """Where a result stands in git.

    Attributes:
        sha: 40 hex digits.
        is_found: Its own dvc.lock yields the key; else it is what HEAD was at publishing.
        is_here: This repository has it.
        branches: That have it, of this repository.
        is_dirty: Whether files differed from it when the result was published; None: unknown.
    """

    sha: str
    is_found: bool
    is_here: bool
    branches: tuple[str, ...]
    is_dirty: bool | None


@dataclass(frozen=True)
class Trace:
    """All that is known of one result; None and empty are unknown.

    Attributes:
        what: As it was asked for.
        tags: Of the run, and of the version where it says more.
        changed: Params that differ from the working tree: name -> (recorded, working tree).
        decisions: Of the audit on this model, oldest first.
        unknown: What could not be had, by name, and why.
    """

    what: str
    found: Found | None
    tags: Mapping[str, str]
    key: str | None
    model: str | None
    commit: Commit | None
    recorded: Recorded | None
    params: Mapping[str, Any]
    changed: Mapping[str, tuple[Any, Any]]
    fingerprint: Mapping[str, Any] | None
    weights: Mapping[str, Any]
    decisions: Sequence[Decision]
    unknown: Mapping[str, str]


def trace(root: Path, what: str | None) -> Trace:
    """Look up one result.

    Args:
        root: The repository.
        what: `models:/<name>@<alias>`, `models:/<name>/<version>`, a run, or metrics.json; None is
            the result in the working tree.

    Raises:
        ParamsError: There is no such thing, or dvc.lock of the working tree cannot be read.
        IntegrityError: metrics.json is not the one that dvc.lock records.
        TrackingError: A run or version is asked for, and the tracking server is away.
        GitError: git cannot read the repository.
    """
    unknown: dict[str, str] = {}
    is_committed = has_commit(root)
    here = _working_tree(root, what)
    lookup, found = _look(what, here, unknown)
    if lookup and found and found.run is None and found.version is not None:
        unknown["run"] = "{} ({})".format(*lookup.why_gone(found.version))
    tags = _tags(found)
    key = here.keys.key if here else tags.get("dvc.key")
    model = here.keys.model if here else tags.get("dvc.model")
    sha = _find(root, key, model, tags) if is_committed else None
    recorded = here or _recorded(root, sha, model, lookup, found)
    if recorded is None:
        unknown["dvc.lock"] = "no commit of this repository has it, and the run keeps none"
    params = flatten(recorded.params) if recorded else {}
    return Trace(
        what=what or str(METRICS),
        found=found,
        tags=tags,
        key=key,
        model=model,
        commit=_commit(root, sha, tags),
        recorded=recorded,
        params=params,
        changed=_changed(root, params),
        fingerprint=_fingerprint(root, tags, recorded),
        weights=_weights(root, tags, recorded),
        decisions=_decisions(root, found, model, unknown),
        unknown=unknown,
    )


def cached_file(root: Path, recorded: Recorded, path: str) -> Path | None:
    """Return a file of the recorded bytes, from the working tree or DVC's cache; or None."""
    md5 = recorded.lock.all_outs().get(path)
    if md5 is None:
        return None
    for each in (root / path, object_path(cache_folder(root), md5)):
        if each.is_file() and md5_file(each) == md5:
            return each
    return None


def _working_tree(root: Path, what: str | None) -> Recorded | None:
    """Return the result in the working tree, if it is what was asked for."""
    if what is not None and not (root / what).is_file():
        return None
    if what is not None and (root / what).resolve() != (root / METRICS).resolve():
        raise ParamsError(what, f"must be {METRICS}, a run or a registered version")
    recorded = Recorded(Lock.read(root / LOCK))
    path = root / METRICS
    if not path.is_file() or md5_file(path) != recorded.keys.metrics:
        raise IntegrityError(
            METRICS,
            f"is not the one that {LOCK} records",
            remedy="run `dvc checkout` or `dvc repro`",
        )
    return recorded


def _look(
    what: str | None, here: Recorded | None, unknown: dict[str, str]
) -> tuple[Lookup | None, Found | None]:
    """Ask MLflow; without it, what lies in the working tree is still known."""
    try:
        lookup = Lookup()
        if here is None:
            return lookup, lookup.by_name(str(what))
        found = lookup.by_model(here.keys.key, here.keys.model)
    except TrackingError as error:
        if here is None:
            raise
        unknown["MLflow"] = str(error)
        return None, None
    if found is None:
        unknown["MLflow"] = "has no run of this result: run `dvc repro publish`"
    return lookup, found


def _tags(found: Found | None) -> dict[str, str]:
    if found is None:
        return {}
    version = dict(found.version.tags) if found.version else {}
    return version | (dict(found.run.data.tags) if found.run else {})


def _find(root: Path, key: str | None, model: str | None, tags: Mapping[str, str]) -> str | None:
    """Find the commit whose own dvc.lock yields one of the result's keys."""
    keys = {key or "", *tags.get("dvc.keys", "").split()} - {""}

    def key_of(lock: Lock) -> str:
        return "mine" if run_keys(lock).key in keys else ""

    if not keys:
        return None
    for needed in ([model] if model else [], [tags.get("dvc.data", "")]):
        found = find_lock(root, "mine", file=Path(LOCK), needed=needed, key_of=key_of)
        if found:
            return found
    return None


def _recorded(
    root: Path, sha: str | None, model: str | None, lookup: Lookup | None, found: Found | None
) -> Recorded | None:
    """Return the dvc.lock of a result: the commit's if it has this model, else the run's."""
    text = show(root, sha, LOCK) if sha else None
    committed = Recorded(Lock.parse(text, f"{LOCK} of {str(sha)[:12]}")) if text else None
    if committed and committed.keys.model == model:
        return committed
    kept = _kept(lookup, found)
    return kept or committed


def _kept(lookup: Lookup | None, found: Found | None) -> Recorded | None:
    if lookup is None or found is None or found.run is None:
        return None
    with tempfile.TemporaryDirectory() as folder:
        path = lookup.artifact(found.run, f"lineage/{LOCK}", Path(folder))
        if path is None:
            return None
        text = path.read_text(encoding="utf-8")
    try:
        return Recorded(Lock.parse(text, f"{LOCK} of run {found.run.info.run_id[:12]}"))
    except ParamsError:
        return None


def _commit(root: Path, sha: str | None, tags: Mapping[str, str]) -> Commit | None:
    dirty = {"true": True, "false": False}.get(tags.get("git.dirty", ""))
    if sha is None:
        head = ask_line(root, "rev-parse", "HEAD")
        provisional = tags.get("git.commit") or (head if not tags else "")
        if not provisional:
            return None
        is_found = tags.get("git.commit.provisional") == "false"
        is_here = ask_git(root, "cat-file", "-e", f"{provisional}^{{commit}}") is not None
        return Commit(provisional, is_found, is_here, _branches(root, provisional), dirty)
    return Commit(sha, is_found=True, is_here=True, branches=_branches(root, sha), is_dirty=dirty)


def _branches(root: Path, sha: str) -> tuple[str, ...]:
    text = ask_git(root, "branch", "--all", "--contains", sha, "--format=%(refname:short)")
    return tuple(line for line in (text or "").split("\n") if line and not line.startswith("("))


def _changed(root: Path, params: Mapping[str, Any]) -> dict[str, tuple[Any, Any]]:
    """Compare with params.yaml of the working tree, as far as it can be read."""
    try:
        now = flatten(read_params(root / PARAMS))
    except PipelineError:
        return {}
    return {
        name: (value, now.get(name))
        for name, value in params.items()
        if name not in now or now[name] != value
    }


def _fingerprint(
    root: Path, tags: Mapping[str, str], recorded: Recorded | None
) -> Mapping[str, Any] | None:
    if "fingerprint" in tags:
        value = json.loads(tags["fingerprint"])
    else:
        path = cached_file(root, recorded, BUNDLE) if recorded else None
        value = read_json(path).get("fingerprint") if path else None
    return value if isinstance(value, dict) else None


def _weights(root: Path, tags: Mapping[str, str], recorded: Recorded | None) -> dict[str, Any]:
    """Return source and sha256, as far as they are known."""
    if "weights.sha256" in tags:
        return {"source": tags.get("weights.source"), "sha256": tags["weights.sha256"]}
    path = cached_file(root, recorded, RECORD) if recorded else None
    record = read_json(path) if path else {}
    return {"source": record.get("source"), "sha256": record.get("sha256")} if record else {}


def _decisions(
    root: Path, found: Found | None, model: str | None, unknown: dict[str, str]
) -> list[Decision]:
    name = found.version.name if found and found.version else None
    try:
        known = read_audit(root / AUDIT)
    except IntegrityError as error:
        unknown["audit"] = str(error)
        return []
    return [each for each in known if each.model == model and name in (None, each.name)]
