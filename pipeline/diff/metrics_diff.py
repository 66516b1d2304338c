"""What `rootstock metrics diff` prints: the numbers of a revision beside those of the working tree.

Git keeps the files of metrics, so nothing has to be pulled. The main numbers of the test split come
first, with the better direction. Classes, baselines and intervals come after them.
"""

import json
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pipeline.ground.errors import IntegrityError, MachineError, ParamsError
from pipeline.judge.metrics import METRICS, better, shown
from pipeline.repo.git import ask_git, ask_line, has_commit
from pipeline.track.runs import flatten

TEST = Path("artifacts/evaluate/metrics.json")
FOLDS = Path("artifacts/crossval/metrics.json")

_SHOWN = 0.00005
"""The smallest change that four digits show."""

_TIMEOUT_S = 300


def diff_metrics(root: Path, revision: str) -> str:
    """Compare the metrics of a revision with those in the working tree, as Markdown.

    Args:
        root: The root of the repository.
        revision: What git takes for a commit.

    Raises:
        ParamsError: There is no such revision.
        IntegrityError: A file of metrics is no JSON, such as after a merge in conflict.
        MachineError: git cannot read the repository, or DVC could not run.
    """
    has_commit(root)
    commit = ask_line(root, "rev-parse", "--verify", "--quiet", f"{revision}^{{commit}}")
    if not commit:
        raise ParamsError("rootstock metrics diff", "git knows no such revision", got=revision)
    lines = list(_staleness(root))
    before = ask_line(root, "rev-parse", "--short", commit)
    lines += _compare("Test split", TEST, root, before, lambda metrics: metrics)
    if (root / FOLDS).exists() or _recorded(root, before, FOLDS):
        lines += ["", *_compare("Cross-validation", FOLDS, root, before, _of_folds)]
    return "\n".join(lines) + "\n"


def _compare(title: str, path: Path, root: Path, before: str, select: Any) -> Iterator[str]:
    """Yield the lines on one file of metrics."""
    old_text = _recorded(root, before, path)
    new_text = (root / path).read_text(encoding="utf-8") if (root / path).is_file() else ""
    if not new_text:
        yield f"**{title}**: no result here (`{path}` is missing)."
        return
    old = select(_parse(old_text, f"{before}:{path}")) if old_text else {}
    new = select(_parse(new_text, str(path)))
    if not old:
        yield f"**{title}**: {before} has no result to compare with."
    elif old == new:
        yield f"**{title}**: no number changed; `{path}` says the same as in {before}."
    else:
        yield f"**{title}**: {_count(old, new)} numbers differ from {before}."
    yield from ["", *_main_table(old, new, before), *_rest_table(old, new, before)]


def _main_table(old: Mapping[str, Any], new: Mapping[str, Any], before: str) -> Iterator[str]:
    yield f"| metric | {before} | here | change | | 95 % interval here |"
    yield "|---|--:|--:|--:|---|---|"
    for name in main_names({**old, **new}):
        interval = (new.get("ci95") or {}).get(name)
        span = f"{interval['low']:.4f} to {interval['high']:.4f}" if interval else ""
        row = _row(name, old.get(name), new.get(name), better(name))
        yield f"{row} {span} |"


def _rest_table(old: Mapping[str, Any], new: Mapping[str, Any], before: str) -> Iterator[str]:
    """Yield the other differences, folded away; the intervals are in the main table."""
    was, now = flatten(_nested(old)), flatten(_nested(new))
    names = [name for name in _ordered(was | now) if was.get(name) != now.get(name)]
    if not names or not was:
        return
    yield from ("", f"<details><summary>{len(names)} more: classes and baselines</summary>")
    yield from ("", f"| metric | {before} | here | change | |", "|---|--:|--:|--:|---|")
    for name in names:
        of_class = name.rpartition(".")[2] if name.startswith("per_class.") else ""
        yield _row(name, was.get(name), now.get(name), better(of_class))
    yield from ("", "</details>")


def main_names(metrics: Mapping[str, Any]) -> list[str]:
    """Return the names of the numbers that are not nested, the most telling ones first."""
    plain = [name for name, value in metrics.items() if not isinstance(value, Mapping)]
    order = dict.fromkeys([*shown(plain, place=3), "n", *METRICS])
    ranks = {name: rank for rank, name in enumerate(order)}
    return sorted(plain, key=lambda name: (ranks.get(name, len(ranks)), name))


def _row(name: str, old: Any, new: Any, direction: str | None) -> str:
    cells = [f"`{_escape(name)}`", _text(old), _text(new), "", ""]
    if _is_number(old) and _is_number(new) and old != new:
        change = new - old
        cells[3] = _change_text(change)
        if direction:
            cells[4] = "better" if (change > 0) == (direction == "max") else "worse"
    return "| " + " | ".join(cells) + " |"


def _change_text(change: float) -> str:
    if isinstance(change, int):
        return f"{change:+d}"
    return f"{change:+.4f}" if abs(change) >= _SHOWN else f"{change:+.1e}"


def _nested(metrics: Mapping[str, Any]) -> dict[str, Any]:
    return {
        name: value
        for name, value in metrics.items()
        if isinstance(value, Mapping) and name != "ci95"
    }


def _ordered(names: Mapping[str, Any]) -> list[str]:
    """Return nested names, those of classes first."""
    return sorted(names, key=lambda name: (not name.startswith("per_class."), name))


def _count(old: Mapping[str, Any], new: Mapping[str, Any]) -> int:
    was, now = flatten(old), flatten(new)
    return sum(was.get(name) != now.get(name) for name in was.keys() | now.keys())


def _of_folds(metrics: Mapping[str, Any]) -> dict[str, Any]:
    """Return the means of a cross-validation as if they were those of one test."""
    found = dict(metrics.get("mean") or {})
    found |= {name: metrics[name] for name in ("n", "ci95") if name in metrics}
    return found


def _staleness(root: Path) -> Iterator[str]:
    """Yield a warning if the result here was not made by the code, params and data here."""
    changed = changed_stages(root)
    if changed:
        yield from (
            f"**Not up to date**: {', '.join(f'`{name}`' for name in changed)} changed after "
            "`dvc.lock` was written, so the numbers here are those of before (run "
            "`rootstock repro`, and commit).",
            "",
        )


def changed_stages(root: Path) -> list[str]:
    """Return the stages of the main pipeline whose code, params, command or results changed since.

    A missing file counts if git should have it, not if it was only never pulled.

    Raises:
        MachineError: DVC could not say.
    """
    command = [sys.executable, "-m", "dvc", "status", "--json"]
    try:
        done = subprocess.run(
            command,
            cwd=root,
            capture_output=True,
            text=True,
            check=False,
            timeout=_TIMEOUT_S,
            stdin=subprocess.DEVNULL,
        )
        found: dict[str, list[Any]] = json.loads(done.stdout)
    except (OSError, subprocess.TimeoutExpired, ValueError) as error:
        raise MachineError("dvc status", "could not run", remedy="run it to see why") from error
    return [
        name
        for name, changes in found.items()
        if ":" not in name and any(_is_change(root, each) for each in changes)
    ]


def _is_change(root: Path, change: Any) -> bool:
    if isinstance(change, str):
        return change == "changed command"
    for kind in ("changed deps", "changed outs"):
        for path, state in (change.get(kind) or {}).items():
            is_absent = state in ("deleted", "not in cache")
            if not is_absent or ask_line(root, "ls-files", "--", path):
                return True
    return False


def _recorded(root: Path, commit: str, path: Path) -> str:
    return ask_git(root, "show", f"{commit}:./{path.as_posix()}") or ""


def _parse(text: str, where: str) -> dict[str, Any]:
    try:
        found = json.loads(text)
    except ValueError as error:
        raise IntegrityError(where, f"must be JSON: {error}", remedy="run `dvc repro`") from error
    return found if isinstance(found, dict) else {}


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _text(value: Any) -> str:
    if value is None:
        return "-"
    return f"{value:.4f}" if isinstance(value, float) else str(value)


def _escape(name: str) -> str:
    return name.replace("|", "\\|").replace("`", "'")
