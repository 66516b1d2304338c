"""What people read of a forgetting: what goes, what saw it, and what is left to do."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from pipeline.forgetting.forget import Plan
from pipeline.forgetting.purge import Purge
from pipeline.forgetting.search import Found, Hit
from pipeline.raw.visible import safe_line

_SHOWN = 12

_KEEPERS = {
    "added": "  {path}: added to DVC again\n",
    "nobody": "",
    "imported": "  {path} stays as it is: {source} imports it. Take the items out where it comes "
    "from, then run `dvc update {source}`. `clean` leaves them out from now on\n",
    "made": "  {path} stays as it is: {source} has it from a stage, which would make it again. "
    "Take the items out of what that reads. `clean` leaves them out from now on\n",
}

_STEPS = """
{file} has the decision: no later run uses these items. What is left, in this order:

  rootstock repro                           # results without them; then side branches that ran
  git add --all && git commit -m "forget: items that had to go"
  rootstock promote --override --reason "it saw what had to go"   # if the champion did
  rootstock forget --purge --dry-run        # what goes from the cache, the remotes and MLflow
  rootstock forget --purge
  git add --all && git commit -m "forget: the champion"; git push; dvc push
  rootstock forget --check                  # 0 hits, or each place
"""


def plan_text(plan: Plan) -> str:
    """Return what will be done, and what saw the items."""
    return "".join(_lines(plan))


def steps_text(file: Path) -> str:
    """Return what is left to do, as commands.

    Args:
        file: Of the decision.
    """
    return _STEPS.format(file=file)


def _lines(plan: Plan) -> Iterator[str]:
    items, alike, seen = plan.choice.items, plan.choice.alike, plan.seen
    yield f"{len(items)} items:\n"
    yield from _some(
        [
            f"{each.id[:12]}  {each.place:<6}  {each.path}"
            + ("  (the same as one that was named)" if each.is_copy else "")
            for each in items
        ]
    )
    if alike:
        yield f"{len(alike)} look nearly the same and stay; name them too where they are:\n"
        yield from _some(alike)
    yield "raw data:\n"
    yield from _some([f"{each.file}: {each.what}" for each in (*plan.rows, *plan.edits)])
    yield _KEEPERS[plan.keeper.kind].format(path=plan.keeper.path, source=plan.keeper.source)
    yield f"{len(seen.results)} recorded results saw them, by split:\n"
    yield from _some(seen.results)
    if seen.unknown:
        yield (
            f"  {len(seen.unknown)} more cannot be told: their manifests are not in the cache (run "
            "`dvc fetch --all-commits artifacts/clean/manifest.parquet`, then this again)\n"
        )


def _some(rows: Sequence[str]) -> Iterator[str]:
    yield from (f"  {safe_line(row)}\n" for row in rows[:_SHOWN])
    if len(rows) > _SHOWN:
        yield f"  and {len(rows) - _SHOWN} more\n"


def found_text(found: Found) -> str:
    """Return what a search came to: where it looked, each place, and what git names."""
    lines = [f"searched  {each}\n" for each in found.searched]
    lines += hit_lines(found.hits)
    if not found.is_local:
        lines.append(
            "note      by digests alone: paths and rows are known where `rootstock forget` ran\n"
        )
    if found.unknown:
        lines.append(
            f"note      {len(found.unknown)} commits have no manifest in the cache, so what "
            f"followed from them is not known; first: {found.unknown[0]}\n"
        )
    for each in found.commits[:_SHOWN]:
        lines.append(f"git       {safe_line(each)}: names an item (see docs/privacy.md#git)\n")
    if len(found.commits) > _SHOWN:
        lines.append(f"git       and {len(found.commits) - _SHOWN} more\n")
    return "".join([*lines, f"{len(found.hits)} hits\n"])


def purge_text(plan: Purge) -> str:
    """Return what is deleted, and what is not."""
    lines = [*hit_lines(plan.goes, "delete"), *hit_lines(plan.stays, "left")]
    return "".join([*lines, f"{len(plan.goes)} deleted, {len(plan.stays)} left\n"])


def hit_lines(hits: Sequence[Hit], word: str = "hit") -> list[str]:
    """Return a line for each place, which begins with a word."""
    return [f"{word:<8}  {each.where}: {safe_line(each.name)}: {each.what}\n" for each in hits]
