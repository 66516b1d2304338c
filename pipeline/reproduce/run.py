"""Make a result again from raw data and weights in a clean worktree, and compare.

Every stage up to `evaluate` executes; `publish` does not, and MLflow is only read.
"""

import tempfile
from pathlib import Path
from typing import TextIO

from pipeline.ground.errors import IntegrityError, ParamsError
from pipeline.ground.files import read_json
from pipeline.keys.keys import Recorded
from pipeline.past.trace import BUNDLE, Trace, cached_file, trace
from pipeline.repo.lock import LOCK, Lock
from pipeline.reproduce.execute import REQUIREMENTS, Runner, choose_python, registry_for
from pipeline.reproduce.inputs import bring_inputs, set_up_dvc
from pipeline.reproduce.verdict import PREDICTIONS, Verdict, find_differences, judge_rebuild
from pipeline.reproduce.worktree import Worktree, apply_patch, open_worktree, overlay, settle_code
from pipeline.track.commits import project_diff
from pipeline.version.lookup import Lookup

_PATCH = "git-diff-HEAD.patch"


def reproduce(root: Path, what: str | None, *, progress: TextIO) -> Verdict:
    """Make a result again, and compare.

    Args:
        root: The project.
        what: As for `trace`.
        progress: Receives what is done, and what the stages print.

    Raises:
        IntegrityError: The result cannot be made again: its commit, patch, code or inputs are not
            those that were recorded.
        PipelineError: A stage or the machine failed; as for `trace`.
    """
    found = trace(root, what)
    recorded, commit = found.recorded, found.commit
    if recorded is None or commit is None:
        lacks = "commit" if recorded else LOCK
        raise IntegrityError(
            found.what,
            f"cannot be made again: its {lacks} is unknown",
            remedy=found.unknown.get("run"),
        )
    if (recorded.params.get("train") or {}).get("privacy"):
        raise ParamsError(
            found.what,
            "cannot be made again: its noise was kept nowhere, and other noise would spend its "
            "budget once more",
            field="train.privacy",
            remedy="`dvc pull` brings what was recorded",
        )
    if not commit.is_here:
        raise IntegrityError(
            found.what,
            "cannot be made again: this repository lacks its commit",
            got=commit.sha,
            remedy="`git fetch` it, from where the result was made",
        )
    progress.write(
        f"making {found.what} again: key {recorded.keys.key[:12]}, commit {commit.sha[:12]}\n"
    )
    with open_worktree(root, recorded.keys.key, commit.sha) as tree:
        notes, is_patched = _settle(root, tree.project, found, recorded)
        verdict = _rebuild(root, tree, found, recorded, progress, (notes, is_patched))
        if not tree.is_kept:  # with packages of its own it is thousands of files
            progress.write(f"{verdict.judgment.outcome}; removing the worktree\n")
            progress.flush()
        return verdict


def _settle(root: Path, tree: Path, found: Trace, recorded: Recorded) -> tuple[list[str], bool]:
    """Restore the files that made the result; return notes, and whether a patch was applied."""
    notes: list[str] = []
    is_patched = False
    if found.commit and not found.commit.is_found:
        notes.append("the result was never committed: made from its commit and what was recorded")
        is_patched = _patch(root, tree, found, recorded)
    taken = settle_code(root, tree, recorded)
    if taken:
        notes.append("not in git, taken from the working tree by digest: " + ", ".join(taken))
    return notes, is_patched


def _patch(root: Path, tree: Path, found: Trace, recorded: Recorded) -> bool:
    """Apply the recorded patch, or the working tree's own; return whether there was one."""
    with tempfile.TemporaryDirectory() as name:
        run = found.found.run if found.found else None
        source = Lookup().artifact(run, "lineage", Path(name)) if run else None
        if source is None and recorded.lock.where != str(root / LOCK):
            raise IntegrityError(
                found.what,
                "was never committed, and its run keeps no lineage/: it cannot be made again",
            )
        patch = source / _PATCH if source else Path(name) / _PATCH
        if source is None:
            patch.write_bytes(project_diff(root))
        is_patched = patch.is_file() and patch.stat().st_size > 0
        if is_patched:
            apply_patch(tree, patch)
        overlay(tree, source or root, recorded.data_path)
    return is_patched


def _rebuild(
    root: Path,
    tree: Worktree,
    found: Trace,
    recorded: Recorded,
    progress: TextIO,
    settled: tuple[list[str], bool],
) -> Verdict:
    notes, is_patched = settled
    python, is_own = choose_python(root, tree.project, progress)
    if is_own:
        notes.append(f"with the packages of that commit's {REQUIREMENTS}")
    runner = Runner(tree.project, python, progress, registry=registry_for(recorded))
    runner.prove_imports()
    progress.write(f"raw data and weights from {set_up_dvc(root, tree.project)}\n")
    progress.flush()
    taken = bring_inputs(root, tree.project, recorded, runner.dvc)
    if taken:
        notes.append("folders that git and DVC lack, from the working tree: " + ", ".join(taken))
    runner.rebuild(recorded)
    rebuilt = Recorded(Lock.read(tree.project / LOCK))
    bundle = read_json(tree.project / BUNDLE)
    judgment = judge_rebuild(
        find_differences(recorded, rebuilt),
        artifacts=sum(len(recorded.lock.outs(stage)) for stage in recorded.stages),
        fingerprints=(found.fingerprint, bundle["fingerprint"]),
        predictions=(_predictions(root, found, recorded, tree.project), tree.project / PREDICTIONS),
        bundle=bundle,
    )
    if judgment.outcome == "different":
        tree.keep()
    return Verdict(
        what=found.what,
        key=recorded.keys.key,
        commit=found.commit.sha if found.commit else "",
        is_patched=is_patched,
        executed=tuple(runner.executed),
        notes=tuple(notes),
        judgment=judgment,
        fingerprint=bundle["fingerprint"],
        kept=tree.project if tree.is_kept else None,
    )


def _predictions(root: Path, found: Trace, recorded: Recorded, tree: Path) -> Path | None:
    """Return the recorded predictions: from here, or from the run."""
    here = cached_file(root, recorded, PREDICTIONS)
    run = found.found.run if found.found else None
    if here is not None or run is None:
        return here
    folder = tree / ".rootstock" / "recorded"
    folder.mkdir(parents=True, exist_ok=True)
    return Lookup().artifact(run, "results/predictions.parquet", folder)
