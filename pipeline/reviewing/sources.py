"""What the stages left for a person to look at, read once; what is not there is None."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from pipeline.ground.files import read_json
from pipeline.ground.params import Task
from pipeline.ground.tables import read_table, reading_parquet
from pipeline.manifest.manifest import read_manifest
from pipeline.modality.facts import facts, modality_of

ARTIFACTS = Path("artifacts")
SUSPECTS_COMMAND = "dvc repro suspects/dvc.yaml"


@dataclass(frozen=True)
class Sources:
    """The tables of one data set.

    Attributes:
        task: What labels are.
        manifest: One row for each raw item; its index is the row number.
        details: Why an item is not kept, in words, by path; the first ones only.
        seen: By id: content_hash, reason and detail of each file that was opened.
        near: Pairs of near-duplicates; None where the stage left none.
        suspects: None where the side branch never ran.
        predictions: Of the test split; None before `evaluate` ran.
    """

    task: Task
    manifest: pd.DataFrame
    details: Mapping[str, str]
    seen: pd.DataFrame
    near: pd.DataFrame | None
    suspects: pd.DataFrame | None
    predictions: pd.DataFrame | None

    @property
    def modality(self) -> str:
        """Return the modality of the items."""
        return modality_of(self.manifest.columns)


def read_sources(task: Task, folder: Path = ARTIFACTS) -> Sources:
    """Read all that is there.

    Raises:
        DataError: `clean` never ran here.
        IntegrityError: A file is damaged.
    """
    clean = folder / "clean"
    manifest = read_manifest(clean / "manifest.parquet")
    return Sources(
        task=task,
        manifest=manifest,
        details=_details(clean / "report.json"),
        seen=_seen(clean / "probes.parquet", modality_of(manifest.columns)),
        near=_optional(clean / "near_duplicates.parquet"),
        suspects=_optional(folder / "suspects" / "suspects.parquet"),
        predictions=_optional(folder / "evaluate" / "predictions.parquet"),
    )


def _optional(path: Path) -> pd.DataFrame | None:
    return read_table(path) if path.exists() else None


def _details(path: Path) -> dict[str, str]:
    report: dict[str, Any] = read_json(path) if path.exists() else {}
    return {each["path"]: each["detail"] for each in report.get("not_kept", [])}


def _seen(path: Path, modality: str) -> pd.DataFrame:
    names = {facts(modality).content_hash: "content_hash"}
    columns = ["id", *names, "reason", "detail"]
    if not path.exists():
        return pd.DataFrame(columns=columns).rename(columns=names).set_index("id")
    with reading_parquet(path):
        return pd.read_parquet(path, columns=columns).rename(columns=names).set_index("id")
