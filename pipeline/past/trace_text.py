"""What is known of a result, as text for people and as JSON for programs."""

import textwrap
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from pipeline.past.trace import Commit, Trace
from pipeline.promotion.history import tell_evidence
from pipeline.track.runs import param_text

_SHORT = 12
_WIDTH = 13
_UNKNOWN = "unknown"


def as_text(trace: Trace) -> str:
    """Return a page for a terminal, with short digests."""
    lines = [trace.what, ""]
    for title, rows in (
        ("commit", _commit(trace.commit)),
        ("result", _keys(trace)),
        ("made from", _sources(trace)),
        ("stages", _stages(trace)),
        ("params", _params(trace)),
        ("fingerprint", _fingerprint(trace)),
        ("MLflow", _mlflow(trace)),
        ("confirmed", _confirmed(trace)),
        ("decisions", _decisions(trace)),
        ("unknown", [f"{name}: {why}" for name, why in trace.unknown.items()]),
    ):
        for label, row in zip([title, *[""] * len(rows)], rows, strict=False):
            lines.append(f"{label:<{_WIDTH}}{row}")
        if rows:
            lines.append("")
    return "\n".join(lines)


def as_json(trace: Trace) -> dict[str, Any]:
    """Return everything, with whole digests."""
    recorded, found = trace.recorded, trace.found
    run, version = (found.run, found.version) if found else (None, None)
    return {
        "what": trace.what,
        "commit": asdict(trace.commit) if trace.commit else None,
        "dvc.key": trace.key,
        "dvc.train": recorded.keys.train if recorded else trace.tags.get("dvc.train"),
        "dvc.model": trace.model,
        "dvc.data": recorded.keys.data if recorded else trace.tags.get("dvc.data"),
        "data.path": recorded.data_path if recorded else None,
        "weights": dict(trace.weights) or None,
        "stages": {s: recorded.lock.outs(s) for s in recorded.stages} if recorded else None,
        "params": dict(trace.params) if recorded else None,
        "changed": {
            name: {"recorded": old, "working_tree": new}
            for name, (old, new) in trace.changed.items()
        },
        "fingerprint": trace.fingerprint,
        "run": {"id": run.info.run_id, "name": run.info.run_name, "metrics": dict(run.data.metrics)}
        if run
        else None,
        "version": {
            "name": version.name,
            "version": str(version.version),
            "aliases": list(found.aliases),
            "verified": version.tags.get("verified"),
            "decision": version.tags.get("champion.decision"),
        }
        if found and version
        else None,
        "confirmed": _tagged(trace, "confirmed."),
        "decisions": [asdict(each) for each in trace.decisions],
        "unknown": dict(trace.unknown),
    }


def _commit(commit: Commit | None) -> list[str]:
    if commit is None:
        return [_UNKNOWN]
    where = f" on {', '.join(commit.branches)}" if commit.branches else ""
    how = (
        "found: it records this result"
        if commit.is_found
        else "provisional: HEAD when this was made; no commit records the result yet"
    )
    rows = [f"{commit.sha[:_SHORT]}{where}", how]
    if not commit.is_here:
        rows.append("not in this repository (`git fetch` it)")
    if not commit.is_found and commit.is_dirty:
        rows.append("files differed from it: the run keeps lineage/git-diff-HEAD.patch")
    return rows


def _keys(trace: Trace) -> list[str]:
    return [f"key   {_digest(trace.key)}", f"model {_digest(trace.model)}"]


def _sources(trace: Trace) -> list[str]:
    recorded = trace.recorded
    data = recorded.keys.data if recorded else trace.tags.get("dvc.data")
    path = recorded.data_path if recorded else ""
    weights = trace.weights
    source = str(weights.get("source") or "") if weights else ""
    return [
        f"data    {_digest(data)}  {path}".rstrip(),
        f"weights {_digest(weights.get('sha256') if weights else None)}  {source}".rstrip(),
    ]


def _stages(trace: Trace) -> list[str]:
    if trace.recorded is None:
        return [_UNKNOWN]
    rows = [
        (stage, md5, path)
        for stage in trace.recorded.stages
        for path, md5 in trace.recorded.lock.outs(stage).items()
    ]
    width = max(len(stage) for stage, _, _ in rows)
    previous = ""
    lines = []
    for stage, md5, path in rows:
        lines.append(f"{stage if stage != previous else '':<{width}}  {_digest(md5)}  {path}")
        previous = stage
    return lines


def _params(trace: Trace) -> list[str]:
    if trace.recorded is None:
        return [_UNKNOWN]
    same = f"{len(trace.params) - len(trace.changed)} as in the working tree (all: --json)"
    if not trace.changed:
        return [same]
    width = max(map(len, trace.changed))
    rows = [
        f"* {name:<{width}}  {param_text(old)}   (working tree: {param_text(new)})"
        for name, (old, new) in sorted(trace.changed.items())
    ]
    return [*rows, same]


def _fingerprint(trace: Trace) -> list[str]:
    if not trace.fingerprint:
        return [_UNKNOWN]
    return [", ".join(f"{name} {value}" for name, value in sorted(trace.fingerprint.items()))]


def _mlflow(trace: Trace) -> list[str]:
    if trace.found is None:
        return [_UNKNOWN]
    run, version = trace.found.run, trace.found.version
    rows = [f"run     {run.info.run_name}  {run.info.run_id}" if run else "run     gone"]
    if version is None:
        return [*rows, "version none"]
    names = "".join(f" @{alias}" for alias in trace.found.aliases)
    verified = version.tags.get("verified", "not yet")
    return [
        *rows,
        f"version models:/{version.name}/{version.version}{names}",
        f"        verified: {verified}",
    ]


def _confirmed(trace: Trace) -> list[str]:
    return [
        f"{tag.removeprefix('confirmed.')}  {text}"
        for tag, text in sorted(_tagged(trace, "confirmed.").items())
    ] or ["no other training of the same inputs"]


def _decisions(trace: Trace) -> list[str]:
    rows = []
    for each in trace.decisions:
        rows.append(f"{_ago(each.time)}  {each.action} by {each.by}  [{_digest(each.hash)}]")
        rows += [f"    {line}" for text in tell_evidence(each) for line in textwrap.wrap(text, 100)]
    if rows:
        return rows
    told = trace.tags.get("champion.decision")
    if told is None and trace.found and trace.found.version:
        told = trace.found.version.tags.get("champion.decision")
    return [f"by publish: {told}"] if told else ["none on this model"]


def _ago(time: str) -> str:
    days = (datetime.now(UTC) - datetime.fromisoformat(time)).days
    return f"{time} ({days} days ago)" if days > 1 else time


def _digest(digest: Any) -> str:
    return str(digest)[:_SHORT] if digest else _UNKNOWN


def _tagged(trace: Trace, prefix: str) -> dict[str, str]:
    return {tag: text for tag, text in trace.tags.items() if tag.startswith(prefix)}
