"""Numbers and aliases of rebuilt versions, as the audit tells them.

MLflow counts the versions of a registered model itself: one more than the highest that ever was. So
versions are made in the order in which they were first decided on, and numbers that belong to
versions which cannot be had again are passed over. A registered model that was begun anew before
the older versions were back (`dvc repro` on an empty database) is made again from its first number.
"""

import logging
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from pipeline.promotion.decisions import CANDIDATE, CHAMPION, Decision
from pipeline.track.connection import Tracking
from pipeline.version.registry import MODEL, list_versions, read_aliases

if TYPE_CHECKING:
    from mlflow.entities.model_registry import ModelVersion

log = logging.getLogger(__name__)

_MOST_SKIPPED = 1000
_OURS = {CANDIDATE, CHAMPION}


def first_numbers(decisions: Sequence[Decision], name: str) -> dict[str, int]:
    """Return `dvc.model` -> the number that its version first had, in the order of the decisions.

    Args:
        decisions: Oldest first.
        name: Of the registered model.
    """
    numbers: dict[str, int] = {}
    for each in decisions:
        if each.name == name and each.version.isdigit():
            numbers.setdefault(each.model, int(each.version))
    return numbers


def first_times(decisions: Sequence[Decision]) -> dict[str, int]:
    """Return `dvc.model` -> when it was first decided on, in ms since 1970."""
    times: dict[str, int] = {}
    for each in decisions:
        moment = datetime.fromisoformat(each.time.replace("Z", "+00:00"))
        times.setdefault(each.model, int(moment.timestamp() * 1000))
    return times


def is_begun_anew(
    present: Mapping[str, int],
    aliases: Collection[str],
    numbers: Mapping[str, int],
    recorded: Collection[str],
) -> bool:
    """Return whether a registered model holds only versions that had higher numbers before.

    Args:
        present: `dvc.model` -> number, of the versions that are there.
        aliases: Those that it has.
        numbers: `dvc.model` -> number, as the audit has it.
        recorded: The models that can be registered again.
    """
    return (
        bool(present)
        and all(number < numbers.get(model, 0) for model, number in present.items())
        and set(present) <= set(recorded)
        and set(aliases) <= _OURS
    )


def begin_again(
    tracking: Tracking, name: str, numbers: Mapping[str, int], recorded: Collection[str]
) -> bool:
    """Remove a registered model that was begun anew; its logged models stay, to be taken again.

    Gives whether it was.
    """
    found = tracking.client.search_registered_models(f"name = '{name}'")
    if not found:
        return False
    versions = list_versions(tracking, name)
    present = {each.tags.get(MODEL, ""): int(each.version) for each in versions}
    if not is_begun_anew(present, read_aliases(tracking, name), numbers, recorded):
        return False
    tracking.client.delete_registered_model(name)
    log.info("%s: was begun anew with other numbers than the audit has; made again", name)
    return True


def raise_number(tracking: Tracking, version: "ModelVersion", wanted: int) -> "ModelVersion":
    """Return a version the number that it had, by passing over those before.

    Args:
        tracking: The server.
        version: The newest one.
        wanted: The number; 0, or one that is taken already: it stays as it is.
    """
    client = tracking.client
    for _ in range(min(wanted - int(version.version), _MOST_SKIPPED)):
        client.delete_model_version(version.name, version.version)
        version = client.create_model_version(
            version.name,
            str(version.source),
            run_id=version.run_id,
            tags=dict(version.tags),
            model_id=version.model_id,
            description=version.description,
        )
    return version
