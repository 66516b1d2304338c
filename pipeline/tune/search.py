"""`rootstock tune`: trials on the cached features, judged on validation data alone."""

import contextlib
import difflib
import logging
import signal
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from pipeline.compute.engine import MachineParams
from pipeline.ground.errors import Interrupted, ParamsError
from pipeline.ground.files import replacing, sha256_json
from pipeline.ground.params import (
    in_force,
    load_section,
    parse_params,
    read_params,
    refuse_unknown_sections,
    replace_values,
    settle,
    written_as,
)
from pipeline.ground.stage import read_choices
from pipeline.keys.keys import train_key
from pipeline.repo.lock import LOCK, Lock
from pipeline.repo.state import state_folder
from pipeline.track.branches.tuning import Search, TrialRun, publish_search
from pipeline.track.params import TrackingParams
from pipeline.train.best_epoch import Best
from pipeline.train.inputs import Sources, open_parts
from pipeline.train.params import TrainParams
from pipeline.train.recipe_rules import check_plan
from pipeline.tune.params import TuneParams
from pipeline.tune.space import Dimension, check_space, with_values
from pipeline.tune.study import Ended, Study
from pipeline.tune.trial import PARAMS, Run, build_plan, run_far, run_here

log = logging.getLogger(__name__)

_ARTIFACTS = Path("artifacts")
_BEFORE = ("clean", "recipe", "transform", "weights", "normalize", "features")
"""Stages whose outputs the trials share."""

_SHOWN = 5


def tune(*, trials: int | None, apply: bool) -> str:
    """Search and publish; return a text: the best trials, and the winner as a diff.

    Args:
        trials: In place of `tune.trials`.
        apply: Write the winner into params.yaml.

    Raises:
        ParamsError: A range is wrong, params do not fit together, or the features were made with
            others.
        Interrupted: Ctrl-C or SIGTERM; finished trials are kept.
    """
    raw = settle(in_force(read_params(PARAMS)), read_choices(_ARTIFACTS / "recipe/recipe.json"))
    refuse_unknown_sections(raw, path=PARAMS)
    params = load_section(raw, "tune", TuneParams, path=PARAMS)
    if trials is not None:
        params = params.model_copy(update={"trials": trials})
    tracking = load_section(raw, "tracking", TrackingParams, path=PARAMS)
    machine = load_section(raw, "machine", MachineParams, path=PARAMS)
    dimensions = check_space(raw, params)
    check_plan(build_plan(raw)[0])
    refuse_stale_features(read_params(PARAMS), Lock.read(Path(LOCK)))
    key = search_key(params)
    study = open_study(raw, params, dimensions, state_folder() / "tune" / key / "study.db")
    study.note({"params": raw, "space": params.space, "monitor": _monitor(raw)})
    sources = Sources(
        _ARTIFACTS / "features/cache",
        _ARTIFACTS / "transform/store",
        _ARTIFACTS / "normalize/normalization.json",
        _ARTIFACTS / "weights/backbone.safetensors",
        _ARTIFACTS / "weights/backbone.json",
    )
    is_far = machine.engine == "ray"
    run = run_far(raw, sources, machine) if is_far else run_here(raw, open_parts(sources))
    try:
        with _stoppable():
            run_trials(study, run, raw, params)
    finally:
        _publish(study, raw, key, params, tracking)
    return _tell(study, raw, params, apply=apply)


def search_key(params: TuneParams) -> str:
    """Return the key of a search: what the trials train on and with, and what is searched."""
    chosen = params.model_dump(exclude={"trials"})
    return sha256_json({"train": train_key(Path()), "tune": chosen})


def refuse_stale_features(raw: dict[str, Any], lock: Lock) -> None:
    """Check that the cached features were made with the present params.

    Raises:
        ParamsError: They were made with others.
    """
    for stage in _BEFORE:
        for name, made_with in lock.params(stage).items():
            value: Any = raw
            for part in name.split("."):
                value = value.get(part) if isinstance(value, dict) else None
            if value != made_with:
                raise ParamsError(
                    PARAMS,
                    f"has changed since `{stage}` ran, and trials share what it wrote",
                    field=name,
                    remedy="run `rootstock repro features`",
                )


def open_study(
    raw: dict[str, Any], params: TuneParams, dimensions: list[Dimension], path: Path
) -> Study:
    """Open the study of a search, or start it with the present params."""
    train = load_section(raw, "train", TrainParams, path=PARAMS)
    if train.privacy is not None:
        raise ParamsError(
            PARAMS,
            "must be null for a search: each trial would tell of the items once more",
            field="train.privacy",
            remedy="search without it on other data, or try values of your own",
        )
    present = {each.path: raw[each.section][each.key] for each in dimensions}
    return Study(path, dimensions, params, direction=Best(train.monitor).direction, present=present)


def run_trials(study: Study, run: Run, raw: dict[str, Any], params: TuneParams) -> None:
    """Run the trials that are missing, batch by batch."""
    done = len(study.ended())
    if done:
        log.info("going on after %d of %d trials", done, params.trials)
    while done < params.trials:
        batch = study.next_trials()[: params.trials - done]
        for trial, tried in zip(batch, run([each.drawn for each in batch]), strict=True):
            done += 1
            ended = trial.end(tried)
            value = "no value" if ended.value is None else f"{_monitor(raw)} {ended.value:.4f}"
            shown = ", ".join(f"{name} {value}" for name, value in ended.values.items())
            note = f" ({ended.note})" if ended.note else ""
            log.info(
                "trial %d of %d: %s, %s%s; %s", done, params.trials, ended.state, value, note, shown
            )


def apply_values(text: str, values: dict[str, Any]) -> str:
    """Return the text of params.yaml with other values, and nothing else changed."""
    present = parse_params(text, PARAMS)
    values = {written_as(present, param): value for param, value in values.items()}
    changed = replace_values(text, values)
    wanted = with_values(present, values)
    if parse_params(changed, PARAMS) != wanted:
        raise RuntimeError("params.yaml would not read back as it was meant")
    return changed


@contextlib.contextmanager
def _stoppable() -> Iterator[None]:
    """Turn SIGINT and SIGTERM into `Interrupted`."""

    def stop(signum: int, frame: object) -> None:
        del frame
        raise Interrupted("tune", signum, remedy="run `rootstock tune` to go on")

    old = {each: signal.signal(each, stop) for each in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for each, handler in old.items():
            signal.signal(each, handler)


def _publish(
    study: Study, raw: dict[str, Any], key: str, params: TuneParams, tracking: TrackingParams
) -> None:
    best, monitor = study.best(), _monitor(raw)
    search = as_search(
        key, study.ended(), best, {"params": raw, "space": params.space, "monitor": monitor}
    )
    publish_search(search, tracking)


def as_search(
    key: str, ended: Sequence[Ended], best: Ended | None, facts: Mapping[str, Any]
) -> Search:
    """Return what is published of a search.

    Args:
        key: The search's.
        ended: The finished trials.
        best: The best of them.
        facts: `params`, `space` and `monitor`.
    """
    runs = [
        TrialRun(
            each.number,
            each.state,
            each.values,
            each.value,
            each.epochs,
            each.note,
            each.start_ms,
            each.end_ms,
        )
        for each in ended
    ]
    number = best.number if best else None
    return Search(key, facts["params"], facts["space"], facts["monitor"], runs, number)


def _tell(study: Study, raw: dict[str, Any], params: TuneParams, *, apply: bool) -> str:
    ended, best = study.ended(), study.best()
    if best is None:
        return "No trial came to its end; see the lines above.\n"
    ranked = [each for each in ended if each.state == "complete" and each.value is not None]
    sign = 1 if _direction(raw) == "min" else -1
    ranked.sort(key=lambda each: (sign * (each.value or 0.0), each.number))
    states = [each.state for each in ended]
    lines = [
        f"{len(ended)} trials: {states.count('complete')} complete, {states.count('pruned')} "
        f"pruned, {states.count('failed')} failed. Best on validation ({_monitor(raw)}):",
        *(
            f"  {each.value:.4f}  " + ", ".join(f"{k} {v}" for k, v in each.values.items())
            for each in ranked[:_SHOWN]
        ),
        "",
    ]
    present = {name: raw[name.split(".")[0]][name.split(".")[1]] for name in params.space}
    if best.values == present:
        return "\n".join([*lines, "Nothing is better than the present params.", ""])
    text = PARAMS.read_text(encoding="utf-8")
    changed = apply_values(text, {k: v for k, v in best.values.items() if v != present[k]})
    diff = difflib.unified_diff(
        text.splitlines(keepends=True),
        changed.splitlines(keepends=True),
        "params.yaml",
        "params.yaml",
        n=0,
    )
    lines.append("".join(diff))
    if apply:
        with replacing(PARAMS) as scratch:
            scratch.write_text(changed, encoding="utf-8")
        lines.append("params.yaml has the winner. Next: rootstock repro\n")
    else:
        lines.append("Next: rootstock tune --apply, which writes this into params.yaml\n")
    return "\n".join(lines)


def _monitor(raw: dict[str, Any]) -> str:
    return str(raw["train"]["monitor"])


def _direction(raw: dict[str, Any]) -> str:
    return Best(_monitor(raw)).direction
