"""Bring searches back to MLflow from their local files."""

from collections.abc import Iterator
from pathlib import Path

from pipeline.ground.errors import IntegrityError
from pipeline.ground.params import load_section, read_params
from pipeline.past.servers import Servers, Synced
from pipeline.repo.state import state_folder
from pipeline.track.branches.tuning import count_trials, publish_search
from pipeline.track.params import TrackingParams
from pipeline.tune.search import as_search
from pipeline.tune.study import Kept, read_study
from pipeline.tune.trial import PARAMS

_KIND = "search"
_SHORT = 8


def restore_searches(*, dry_run: bool) -> Iterator[Synced]:
    """Bring the searches under `.rootstock/tune` to MLflow, each trial once.

    Args:
        dry_run: Only look.

    Raises:
        TrackingError: The server is away.
        ParamsError: params.yaml is wrong.
    """
    params = load_section(read_params(PARAMS), "tracking", TrackingParams, path=PARAMS)
    strict = params.model_copy(update={"required": True})
    files = sorted((state_folder() / "tune").glob("*/study.db"))
    servers = Servers(dry_run=dry_run)
    for path in files:
        yield _restore(path, servers, strict, dry_run=dry_run)


def _restore(path: Path, servers: Servers, params: TrackingParams, *, dry_run: bool) -> Synced:
    key = path.parent.name
    name = f"tune-{key[:_SHORT]}"
    try:
        kept = read_study(path)
    except IntegrityError as error:
        return Synced(_KIND, name, "", "missing", note=str(error))
    tracking = servers.at(params.experiment).tracking
    if tracking is not None and count_trials(tracking, key) == len(kept.ended):
        return Synced(_KIND, name, "", "there")
    if fault := _fault(kept, path):
        return Synced(_KIND, name, "", "missing", note=fault)
    if dry_run:
        return Synced(_KIND, name, "", "would be made")
    publish_search(as_search(key, kept.ended, kept.best, kept.facts), params)
    return Synced(_KIND, name, "", "made")


def _fault(kept: Kept, path: Path) -> str:
    if kept.ended and not kept.facts:
        return (
            f"{path}: an older version began this search, and did not keep its params (run "
            "`rootstock tune` with the params that it had)"
        )
    return ""
