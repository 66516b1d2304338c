"""Compare a rebuilt result with the recorded one, artifact by artifact in pipeline order.

If all digests are equal, the result is bit-identical. If not, and the fingerprint is another, the
predictions decide, by the usual tolerance. Under the same fingerprint, any difference counts.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import pandas as pd

from pipeline.ground.errors import IntegrityError
from pipeline.ground.tables import read_table
from pipeline.keys.keys import Recorded
from pipeline.version.verify import compare

Outcome = Literal["bit-identical", "within tolerance", "different"]
PREDICTIONS = "artifacts/evaluate/predictions.parquet"


@dataclass(frozen=True)
class Difference:
    """One file or folder that differs: an input or an output of a stage."""

    stage: str
    path: str
    recorded: str
    rebuilt: str | None
    is_input: bool


@dataclass(frozen=True)
class Judgment:
    """What the comparison found."""

    outcome: Outcome
    reason: str
    differences: tuple[Difference, ...]
    artifacts: int
    """How many outputs were compared."""

    largest: float | None
    """Largest difference of predictions, where they were compared."""


@dataclass(frozen=True)
class Verdict:
    """A judgment, and how the rebuild was made."""

    what: str
    key: str
    commit: str
    is_patched: bool
    executed: tuple[str, ...]
    notes: tuple[str, ...]
    judgment: Judgment
    fingerprint: Mapping[str, Any]
    kept: Path | None

    def as_json(self) -> dict[str, Any]:
        """Return everything, for programs."""
        found = asdict(self)
        judgment = found.pop("judgment")
        kept = str(self.kept) if self.kept else None
        return {"verdict": judgment.pop("outcome"), **found, **judgment, "kept": kept}

    def as_text(self) -> str:
        """Return the notes, and the verdict as the last line."""
        notes = [f"note: {note}" for note in self.notes]
        made = f"{len(self.executed)} stages executed: {', '.join(self.executed)}"
        base = f"{self.commit[:12]}{' and the recorded patch' if self.is_patched else ''}"
        last = (
            f"{self.judgment.outcome}: {self.what} made again from {base}: {self.judgment.reason}"
        )
        return "\n".join(["", *notes, made, last])

    def raise_if_different(self) -> None:
        """End with exit code 5 if the rebuild is another result.

        Raises:
            IntegrityError: It is, naming the first artifact that differs.
        """
        if self.judgment.outcome != "different":
            return
        first = self.judgment.differences[0]
        how = "an input of" if first.is_input else "the first artifact that differs, made by"
        raise IntegrityError(
            first.path,
            f"different: {how} `{first.stage}`, recorded {first.recorded}",
            got=first.rebuilt,
            remedy=f"{self.judgment.reason}; the rebuild is kept in {self.kept}",
        )


def find_differences(recorded: Recorded, rebuilt: Recorded) -> tuple[Difference, ...]:
    """Return what differs, in pipeline order; of a stage its inputs first."""
    found = []
    for stage in recorded.stages:
        for is_input, old, new in (
            (True, recorded.inputs(stage), rebuilt.lock.deps(stage)),
            (False, recorded.lock.outs(stage), rebuilt.lock.outs(stage)),
        ):
            found += [
                Difference(stage, path, md5, new.get(path), is_input)
                for path, md5 in old.items()
                if new.get(path) != md5
            ]
    return tuple(found)


def judge_rebuild(
    differences: tuple[Difference, ...],
    *,
    artifacts: int,
    fingerprints: tuple[Mapping[str, Any] | None, Mapping[str, Any]],
    predictions: tuple[Path | None, Path],
    bundle: Mapping[str, Any],
) -> Judgment:
    """Judge a rebuild.

    Args:
        differences: As `find_differences` gives them.
        artifacts: How many outputs were compared.
        fingerprints: The recorded one (None if unknown), and the rebuild's.
        predictions: predictions.parquet as recorded (None if nobody has it), and as rebuilt.
        bundle: bundle.json of the rebuild.
    """
    if not differences:
        reason = f"{artifacts} artifacts have the recorded digests"
        return Judgment("bit-identical", reason, (), artifacts, None)
    first = differences[0]
    old, new = fingerprints
    if first.is_input:
        return _different(differences, artifacts, f"the input {first.path} is another one")
    if old is None or dict(old) == dict(new):
        why = "unknown" if old is None else "the same"
        reason = f"first {first.path}; the recorded fingerprint is {why}"
        return _different(differences, artifacts, reason)
    other = ", ".join(
        f"{name} {old.get(name, 'none')} -> {new.get(name, 'none')}"
        for name in sorted({*old, *new})
        if old.get(name) != new.get(name)
    )
    if predictions[0] is None:
        reason = f"first {first.path}; the recorded predictions are not to be had ({other})"
        return _different(differences, artifacts, reason)
    return _by_predictions(differences, artifacts, (predictions[0], predictions[1]), bundle, other)


def _by_predictions(
    differences: tuple[Difference, ...],
    artifacts: int,
    predictions: tuple[Path, Path],
    bundle: Mapping[str, Any],
    other: str,
) -> Judgment:
    old, new = (read_table(path).set_index("path") for path in predictions)
    first = differences[0].path
    if not _same_items(old, new):
        reason = f"first {first}; other items were predicted ({other})"
        return _different(differences, artifacts, reason)
    new = new.loc[old.index].rename(columns={"predicted": "label", "label": "truth"})
    rows = [{str(name): value for name, value in row.items()} for row in new.to_dict("records")]
    comparison = compare(old.reset_index(), rows, dict(bundle), is_exact=False)
    if comparison.wrong:
        reason = (
            f"first {first}; {len(comparison.wrong)} of {comparison.items} predictions are not "
            f"{comparison.sense} ({other})"
        )
        return _different(differences, artifacts, reason, comparison.largest)
    reason = f"{comparison}; under another fingerprint ({other})"
    return Judgment("within tolerance", reason, differences, artifacts, comparison.largest)


def _same_items(old: pd.DataFrame, new: pd.DataFrame) -> bool:
    shared = [name for name in ("id", "split", "label") if name in old.columns]
    return (
        set(old.index) == set(new.index)
        and set(old.columns) == set(new.columns)
        and old[shared].equals(new.loc[old.index, shared])
    )


def _different(
    differences: tuple[Difference, ...], artifacts: int, reason: str, largest: float | None = None
) -> Judgment:
    return Judgment("different", reason, differences, artifacts, largest)
