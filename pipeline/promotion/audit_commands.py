"""What `rootstock promote`, `rollback` and `audit` do, and the text that they print."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

from pipeline.ground.errors import IntegrityError, ParamsError
from pipeline.ground.params import load_section, read_params
from pipeline.promotion.aliases import audit_folder
from pipeline.promotion.audit_check import Drift, find_drift, read_sound_audit
from pipeline.promotion.budget import find_spent
from pipeline.promotion.contest import Arena
from pipeline.promotion.decisions import Decision, as_json, replay
from pipeline.promotion.history import count_scores, tell_decision, tell_history
from pipeline.promotion.promotion import promote, rollback
from pipeline.repo.lock import PARAMS
from pipeline.track.connection import (
    connect,
    has_database,
    publishing_to,
    tracking_uri,
    translated_errors,
)
from pipeline.track.params import TrackingParams
from pipeline.version.params import RegistryParams


def run_promote(version: str, *, reason: str, override: bool, is_json: bool) -> tuple[str, str]:
    """Let a version contend with the champion; gives the text, and why it was refused, or nothing.

    Raises:
        TrackingError: The registry is away.
        ParamsError, IntegrityError, DataError: As `promotion.promote`.
    """
    with _arena() as arena:
        answer = promote(arena, version, reason=reason, override=override)
    decision = answer.decision
    refused = decision.reason if decision.action == "refuse" else ""
    return _tell(decision, is_new=answer.is_new, is_json=is_json), refused


def run_rollback(reason: str, *, is_json: bool) -> str:
    """Go back to the champion before; gives the text.

    Raises:
        TrackingError: The registry is away.
        ParamsError, IntegrityError: As `promotion.rollback`.
    """
    with _arena() as arena:
        answer = rollback(arena, reason)
    return _tell(answer.decision, is_new=answer.is_new, is_json=is_json)


def run_audit(*, is_offline: bool, is_json: bool) -> tuple[str, tuple[str, ...]]:
    """Check the audit, and compare it with the registry; gives the text, and what is wrong.

    Args:
        is_offline: Look at the files alone.
        is_json: Give JSON.

    Raises:
        IntegrityError: An entry was altered, renamed or removed.
        TrackingError: The registry is away.
    """
    raw = read_params(Path(PARAMS))
    name = load_section(raw, "registry", RegistryParams, path=Path(PARAMS)).name
    decisions = read_sound_audit(audit_folder())
    drift = None if is_offline else _compare(raw, name, decisions)
    if is_json:
        return _audit_json(decisions, name, drift), drift.wrong if drift else ()
    text = tell_history(decisions, name)
    text += "".join(f"{each.told()}\n" for each in find_spent(Path()))
    text += "the files fit together: none was altered, renamed or removed\n"
    if drift is None:
        return text + "not compared with a registry\n", ()
    lines = [
        *(f"note: {line}" for line in drift.notes),
        *(f"UNSETTLED: {line}" for line in drift.met),
        *(f"WRONG: {line}" for line in drift.wrong),
    ]
    if not (drift.wrong or drift.met):
        lines.append("the aliases in the registry are those of the audit")
    return text + "\n".join(lines) + "\n", drift.wrong


def _audit_json(decisions: list[Decision], name: str, drift: Drift | None) -> str:
    found: dict[str, Any] = {
        "name": name,
        "decisions": [as_json(each) for each in decisions if each.name == name],
        "aliases": replay(decisions, name),
        "privacy": [asdict(each) for each in find_spent(Path())],
        "scored": [asdict(each) for each in count_scores(decisions, name)],
        "drift": asdict(drift) if drift else None,
    }
    return json.dumps(found, indent=2, sort_keys=True) + "\n"


def _compare(raw: dict[str, Any], name: str, decisions: list[Decision]) -> Drift | None:
    """Compare with the registry; None where there is none yet."""
    uri = tracking_uri()
    if not has_database(uri):
        return None
    params = load_section(raw, "tracking", TrackingParams, path=Path(PARAMS))
    tracking = connect(params.experiment)
    with translated_errors(tracking.uri):
        return find_drift(tracking, name, decisions)


def _tell(decision: Decision, *, is_new: bool, is_json: bool) -> str:
    file = str(audit_folder() / decision.file_name)
    if is_json:
        found = as_json(decision) | {"file": file, "is_new": is_new}
        return json.dumps(found, indent=2, sort_keys=True) + "\n"
    end = "commit it (`git add audit`)" if is_new else "decided before, nothing was added"
    return f"{tell_decision(decision)}  {file}: {end}\n"


@contextmanager
def _arena() -> Iterator[Arena]:
    """Open the registry, alone among the processes of this repository."""
    path = Path(PARAMS)
    raw = read_params(path)
    registry = load_section(raw, "registry", RegistryParams, path=path)
    params = load_section(raw, "tracking", TrackingParams, path=path)
    with publishing_to(params.experiment) as tracking:
        yield Arena(
            tracking,
            registry,
            Path(_value(raw, "data", "path")),
            int(_value(raw, "evaluate", "ece_bins")),
        )


def _value(raw: dict[str, Any], section: str, name: str) -> Any:
    """Return a value of a section whose class is slow to import."""
    try:
        return raw[section][name]
    except (KeyError, TypeError) as error:
        raise ParamsError(PARAMS, "is missing", field=f"{section}.{name}") from error


def refusal(version: str, reason: str) -> ParamsError:
    """Return the error of a version that was refused."""
    return ParamsError(
        f"rootstock promote {version}",
        f"refused: {reason}",
        remedy='it is in the audit; --override --reason "…" promotes it all the same',
    )


def drifted(wrong: tuple[str, ...]) -> IntegrityError:
    """Return the error of a registry that is not where the audit has it."""
    more = f"; and {len(wrong) - 1} more, see above" if len(wrong) > 1 else ""
    return IntegrityError("audit", f"{wrong[0]}{more}")
