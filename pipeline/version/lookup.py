"""Find a run or a registered version by what people call it; only look, never make anything.

models:/<name>@<alias>   models:/<name>/<version>
the id of a run, its beginning if it is the only one, or a run's name
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.ground.errors import ParamsError, TrackingError
from pipeline.track.connection import (
    configure,
    database_file,
    has_database,
    probe,
    redact,
    tracking_uri,
    translated_errors,
)
from pipeline.track.runs import all_runs, confirmed_tag, download
from pipeline.version.version_run import run_of, why_gone

if TYPE_CHECKING:
    from mlflow.entities import Run
    from mlflow.entities.model_registry import ModelVersion

_URI = re.compile(r"models:/(?P<name>[^/@]+)(?:@(?P<alias>[^/@]+)|/(?P<version>\d+))")
_SHORTEST = 4
"""Characters of a run's id."""


@dataclass(frozen=True)
class Found:
    """What MLflow knows of one result.

    Attributes:
        run: None where the version's run is gone.
        version: None where the result has none.
        aliases: Of the version, sorted.
    """

    run: "Run | None"
    version: "ModelVersion | None"
    aliases: tuple[str, ...]


class Lookup:
    """A way to read the tracking server.

    Raises:
        TrackingError: It is away, or there is no database yet.
    """

    def __init__(self) -> None:
        self.uri = tracking_uri()
        configure()
        if not has_database(self.uri):
            raise TrackingError(
                database_file(self.uri),
                "there is no MLflow database",
                remedy="run `dvc repro publish`, or set MLFLOW_TRACKING_URI",
            )
        probe(self.uri)
        with translated_errors(self.uri):
            from mlflow import MlflowClient

            self._client = MlflowClient(self.uri, self.uri)

    def by_name(self, what: str) -> Found:
        """Find a version or a run.

        Raises:
            ParamsError: There is none, or several, or it is not named as it must be.
        """
        with translated_errors(self.uri):
            if what.startswith("models:"):
                return self._by_uri(what)
            return self._beside(self._find_run(what))

    def by_model(self, key: str, model: str) -> Found | None:
        """Find the run, and its version, of a result by its `dvc.key` and `dvc.model`; or None."""
        with translated_errors(self.uri):
            for run in self._runs(f"tags.`dvc.keys` LIKE '%{key}%'"):
                tags = run.data.tags
                if tags.get("dvc.model") == model or confirmed_tag(model) in tags:
                    return self._beside(run)
        return None

    def artifact(self, run: "Run | None", path: str, folder: Path) -> Path | None:
        """Download one artifact of a run into a folder; None where there is none."""
        return download(self._client, run.info.run_id, path, folder) if run else None

    def _by_uri(self, what: str) -> Found:
        match = _URI.fullmatch(what)
        if match is None:
            raise ParamsError(what, "must be models:/<name>@<alias> or models:/<name>/<version>")
        name, alias, number = match["name"], match["alias"], match["version"]
        from mlflow.exceptions import MlflowException

        try:
            version = (
                self._client.get_model_version_by_alias(name, alias)
                if alias
                else self._client.get_model_version(name, number)
            )
        except MlflowException as error:
            if error.error_code not in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
                raise
            raise ParamsError(
                what, f"no such version in {redact(self.uri)}", remedy="see the models in `make ui`"
            ) from error
        run = run_of(self._client, version)
        return Found(run, version, self._aliases(version))

    def why_gone(self, version: "ModelVersion") -> tuple[str, str]:
        """Return what became of the run of a version that has none, and what to do."""
        with translated_errors(self.uri):
            return why_gone(self._client, version)

    def _find_run(self, what: str) -> "Run":
        found = [
            run
            for run in self._runs("")
            if what in (run.info.run_id, run.info.run_name)
            or (len(what) >= _SHORTEST and run.info.run_id.startswith(what))
        ]
        exact = [run for run in found if run.info.run_id == what] or found
        if len(exact) != 1:
            some = ", ".join(run.info.run_id[:12] for run in exact[:5])
            raise ParamsError(
                what,
                f"more than one run is called so: {some}" if exact else "no such run or file",
                remedy="name a run, models:/<name>@<alias>, models:/<name>/<version>, or "
                "artifacts/evaluate/metrics.json",
            )
        return exact[0]

    def _runs(self, query: str) -> "Iterator[Run]":
        ids = [each.experiment_id for each in self._client.search_experiments()]
        return all_runs(self._client, ids, query)

    def _beside(self, run: "Run") -> Found:
        """Return a run with the newest version made of it."""
        query = f"run_id = '{run.info.run_id}'"
        versions = self._client.search_model_versions(query)
        version = max(versions, key=lambda each: int(each.version), default=None)
        return Found(run, version, self._aliases(version) if version else ())

    def _aliases(self, version: "ModelVersion") -> tuple[str, ...]:
        aliases = self._client.get_registered_model(version.name).aliases
        mine = str(version.version)
        return tuple(sorted(a for a, number in aliases.items() if str(number) == mine))
