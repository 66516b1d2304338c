"""Runs and versions of MLflow that follow from some files, by the digests in their tags."""

import os
import re
import subprocess
import sys
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from pipeline.ground.errors import MachineError
from pipeline.ground.processes import QUIET
from pipeline.track.connection import (
    ADDRESS,
    SERVERS,
    address_kind,
    configure,
    has_database,
    probe,
    tracking_uri,
    translated_errors,
)
from pipeline.track.runs import PARENT

if TYPE_CHECKING:
    from mlflow import MlflowClient

_MOST = 1000
_MODEL_FOLDER = re.compile(r"/models/(m-[0-9a-f]{32})/")
"""Of the artifacts of a model."""


@dataclass(frozen=True)
class Held:
    """What MLflow keeps.

    Attributes:
        kind: What it is.
        id: Of the run or logged model; of a version, `<name>/<number>`.
        name: For people.
        aliases: Of a version.
        is_deleted: It is in MLflow's trash.
    """

    kind: Literal["version", "model", "run"]
    id: str
    name: str
    aliases: tuple[str, ...] = ()
    is_deleted: bool = False


class Holders:
    """The tracking server, looked through.

    Raises:
        TrackingError: It is away.
    """

    def __init__(self) -> None:
        self.uri = tracking_uri()
        configure()
        probe(self.uri)
        self.is_there = has_database(self.uri)

    def find(self, objects: Collection[str]) -> list[Held]:
        """Return what has one of some md5 digests in a tag; deleted runs and models too."""
        if not self.is_there:
            return []
        with translated_errors(self.uri):
            client = self._client()
            return [*_versions(client, objects), *_models(client, objects), *_runs(client, objects)]

    def delete(self, held: Collection[Held]) -> None:
        """Delete versions, models and runs for good; the last two with their artifacts.

        Raises:
            MachineError: `mlflow gc` does not do it, as on a server of others.
        """
        if not held:
            return
        with translated_errors(self.uri):
            client = self._client()
            for each in (each for each in held if not each.is_deleted):
                if each.kind == "version":
                    client.delete_model_version(*each.id.rsplit("/", 1))
                elif each.kind == "model":
                    client.delete_logged_model(each.id)
                else:
                    client.delete_run(each.id)
        self._collect(held)

    def _collect(self, held: Collection[Held]) -> None:
        ids = {kind: [each.id for each in held if each.kind == kind] for kind in ("run", "model")}
        options = [f"--run-ids={','.join(ids['run'])}"] if ids["run"] else []
        options += [f"--logged-model-ids={','.join(ids['model'])}"] if ids["model"] else []
        if not options:
            return
        command = ["mlflow", "gc", f"--backend-store-uri={self.uri}", *options]
        if address_kind(self.uri) in SERVERS:
            raise MachineError(
                "MLflow",
                "runs and models are in the trash of a server, with their artifacts",
                remedy=f"there: `mlflow gc --backend-store-uri <its database> {' '.join(options)}`",
            )
        done = subprocess.run(
            [sys.executable, "-m", *command],
            check=False,
            capture_output=True,
            text=True,
            env=os.environ | QUIET | {ADDRESS: self.uri},
        )
        if done.returncode:
            told = (done.stderr.strip().splitlines() or ["no message"])[-1]
            raise MachineError(
                "mlflow gc", told, remedy=f"run `{ADDRESS}={self.uri} {' '.join(command)}`"
            )

    def _client(self) -> "MlflowClient":
        from mlflow import MlflowClient

        return MlflowClient(self.uri, self.uri)


def in_trash(paths: Iterable[str], known: Collection[Held]) -> list[Held]:
    """Return the models whose artifacts are still there and that MLflow names no more.

    Args:
        paths: Of files.
        known: What MLflow names.
    """
    found = {match[1] for path in paths if (match := _MODEL_FOLDER.search(path))}
    left = sorted(found - {each.id for each in known})
    return [Held("model", each, f"logged model {each}", (), is_deleted=True) for each in left]


def _versions(client: "MlflowClient", objects: Collection[str]) -> Iterator[Held]:
    names: dict[str, Mapping[str, str]] = {}
    token = None
    while True:
        page = client.search_model_versions(max_results=_MOST, page_token=token)
        for each in page:
            if _has(each.tags, objects):
                if each.name not in names:
                    names[each.name] = client.get_registered_model(each.name).aliases
                mine = [a for a, n in names[each.name].items() if str(n) == str(each.version)]
                place = f"{each.name}/{each.version}"
                yield Held("version", place, f"models:/{place}", tuple(sorted(mine)))
        token = page.token
        if not token:
            return


def _models(client: "MlflowClient", objects: Collection[str]) -> Iterator[Held]:
    for experiment in _experiments(client):
        token = None
        while True:
            page = client.search_logged_models([experiment], max_results=_MOST, page_token=token)
            for each in page:
                if _has(each.tags, objects):
                    yield Held("model", each.model_id, f"logged model {each.name}")
            token = page.token
            if not token:
                break


def _runs(client: "MlflowClient", objects: Collection[str]) -> Iterator[Held]:
    from mlflow.entities import ViewType

    found: dict[str, Held] = {}
    children = []
    token = None
    experiments = _experiments(client)
    while True:
        page = client.search_runs(
            experiments, run_view_type=ViewType.ALL, max_results=_MOST, page_token=token
        )
        for run in page:
            is_deleted = run.info.lifecycle_stage == "deleted"
            held = Held("run", run.info.run_id, f"run {run.info.run_name}", (), is_deleted)
            if _has(run.data.tags, objects):
                found[held.id] = held
            elif PARENT in run.data.tags:
                children.append((run.data.tags[PARENT], held))
        token = page.token
        if not token:
            break
    yield from found.values()
    yield from (held for parent, held in children if parent in found)


def _experiments(client: "MlflowClient") -> list[str]:
    from mlflow.entities import ViewType

    return [each.experiment_id for each in client.search_experiments(view_type=ViewType.ALL)]


def _has(tags: Mapping[str, str], objects: Collection[str]) -> bool:
    return any(word in objects for text in tags.values() for word in text.split())
