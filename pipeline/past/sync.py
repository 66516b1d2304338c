"""Rebuild MLflow from what is versioned: git's history, DVC's cache, and local journals.

MLflow is a projection. What it lacks is made by the code that publishes the present result, from
files that are laid out beside the working tree; what it has is left alone, so that a second sync
changes nothing. What cannot be had is told, with what to do, and costs nothing else.
"""

import json
import logging
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

from pipeline.ground.params import load_section, read_params
from pipeline.past.branches import BranchSync
from pipeline.past.journals import bring_journals
from pipeline.past.recorded import PastResult, gather_results
from pipeline.past.results import ResultSync
from pipeline.past.servers import Servers, State, Synced
from pipeline.past.versions import begin_again, first_numbers, first_times
from pipeline.promotion.aliases import Board, read_board, restore_aliases
from pipeline.promotion.decisions import read_audit, replay
from pipeline.repo.history import read_history
from pipeline.repo.lock import AUDIT, PARAMS
from pipeline.track.connection import translated_errors
from pipeline.track.params import TrackingParams
from pipeline.track.runs import is_complete
from pipeline.version.params import RegistryParams
from pipeline.version.registry import list_versions
from pipeline.version.version_run import restore_runs

log = logging.getLogger(__name__)

_SHORT = 7
_UNDECIDED = "{name}: the audit has no decision on its versions (run `rootstock promote VERSION`)"
_STATES: tuple[State, ...] = (
    "there",
    "moved",
    "ended",
    "confirmed",
    "made",
    "would be made",
    "missing",
)


class Sync:
    """One sync.

    Args:
        root: The root of the repository.
        dry_run: Only look.

    Raises:
        ParamsError: params.yaml is wrong.
        IntegrityError: The audit is damaged.
    """

    def __init__(self, root: Path, *, dry_run: bool) -> None:
        self._root, self._dry_run = root, dry_run
        self._decisions = read_audit(root / AUDIT)
        raw = read_params(root / PARAMS)
        self._experiment = load_section(
            raw, "tracking", TrackingParams, path=root / PARAMS
        ).experiment
        self._registry = load_section(raw, "registry", RegistryParams, path=root / PARAMS)
        self._servers = Servers(dry_run=dry_run)

    def run(self) -> Iterator[Synced]:
        """Bring everything, and tell of each thing what became of it.

        Raises:
            TrackingError: The server is away.
            MachineError: Git is not installed, or hangs.
        """
        files, faults = read_history(self._root)
        results, unread = gather_results(files, self._registry)
        for fault in [*faults, *unread]:
            yield Synced("result", "", "", "missing", note=fault)
        yield from self._results(results)
        yield from BranchSync(self._root, self._servers, dry_run=self._dry_run).bring()
        trained = {each.keys.train for each in results}
        yield from bring_journals(self._servers, self._experiment, trained, dry_run=self._dry_run)

    def _results(self, results: Sequence[PastResult]) -> Iterator[Synced]:
        """Bring results in the order in which they were first registered."""
        times = first_times(self._decisions)
        ordered = sorted(results, key=lambda each: times.get(each.keys.model, each.time_ms))
        registered: dict[str, list[PastResult]] = {}
        for each in ordered:
            if each.wants_version:
                registered.setdefault(each.registry.name, []).append(each)
        numbers = {name: first_numbers(self._decisions, name) for name in registered}
        for name, own in registered.items():
            self._open(name, own, numbers[name])
        yield from ResultSync(self._root, self._servers, numbers, dry_run=self._dry_run).bring(
            ordered
        )
        for name, own in registered.items():
            yield from self._settle_aliases(name, own)

    def _open(self, name: str, own: Sequence[PastResult], numbers: Mapping[str, int]) -> None:
        """Look at a registered model before it is filled; see `begin_again`, `restore_runs`."""
        known = self._servers.at(own[0].experiment_name)
        tracking = known.tracking
        if tracking is None or self._dry_run:
            return
        with translated_errors(tracking.uri):
            begin_again(tracking, name, numbers, {each.keys.model for each in own})
            for run in restore_runs(tracking.client, list_versions(tracking, name)):
                log.info(
                    "run %s: restored from MLflow's trash, as a version names it", run.info.run_id
                )
                is_ours = is_complete(run) and "dvc.keys" in run.data.tags
                if is_ours and run.info.experiment_id == tracking.experiment_id:
                    known.note(run)

    def _settle_aliases(self, name: str, own: Sequence[PastResult]) -> Iterator[Synced]:
        """Yield aliases and decisions as the audit has them, and tell of each alias."""
        tracking = self._servers.at(own[0].experiment_name).tracking
        if tracking is None or self._dry_run:
            return
        with translated_errors(tracking.uri):
            board = read_board(tracking, name, self._decisions)
            wanted = replay(self._decisions, name)
            restore_aliases(tracking, name, self._decisions)
            after = read_board(tracking, name, self._decisions)
        if board.versions and not wanted:
            yield Synced("alias", name, "", "missing", note=_UNDECIDED.format(name=name))
        for alias, model in wanted.items():
            yield _tell_alias(alias, model, board, after)


def _tell_alias(alias: str, model: str, before: Board, after: Board) -> Synced:
    name = f"{after.name}@{alias}"
    target = after.holding(model)
    if target is None:
        note = f"{name}: the audit gives it to model {model[:12]}, which has no version (see above)"
        return Synced("alias", name, "", "missing", note=note)
    number = after.aliases.get(alias)
    if number == str(target.version):
        return Synced("alias", name, "", "there" if before.aliases.get(alias) == number else "made")
    note = f"{name}: stays at version {number}, which the audit here does not decide on"
    return Synced("alias", name, "", "there", note=note)


def as_line(found: Synced) -> str:
    """Return a line for people."""
    parts = [
        f"{found.commit[:_SHORT] or '-':<{_SHORT}}",
        f"{found.kind:<9}",
        found.name or "?",
        found.state,
    ]
    if found.version:
        parts.append(f"({found.version}: {found.version_state})")
    text = "  ".join(parts)
    return f"{text}\n{' ' * (_SHORT + 2)}{found.note}" if found.note else text


def summary(found: Sequence[Synced]) -> str:
    """Return the last line: how many of what."""
    texts = []
    for title, states in (
        ("runs", [each.state for each in found if each.kind != "alias"]),
        ("versions", [each.version_state for each in found if each.version_state]),
        ("aliases", [each.state for each in found if each.kind == "alias"]),
    ):
        if states:
            counts = Counter(states)
            told = ", ".join(f"{counts[state]} {state}" for state in _STATES if counts[state])
            texts.append(f"{title}: {told}")
    return "; ".join(texts) + "\n" if texts else "no result is recorded in git or in a journal\n"


def as_json(found: Sequence[Synced]) -> str:
    """Return everything for programs."""
    rows = [asdict(each) for each in found]
    return json.dumps({"synced": rows}, indent=2, ensure_ascii=False) + "\n"
