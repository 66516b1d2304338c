"""What commits record comes to MLflow in its order, under its numbers, and what lacks is named."""

import json
import os
import shutil
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import yaml

from pipeline.ground.errors import ParamsError
from pipeline.ground.files import canonical_json, md5_file, read_json, write_text
from pipeline.keys.journal import Journal, journal_path, read_journal
from pipeline.past.sync import Sync, summary
from pipeline.promotion.decisions import Draft, write_decision
from pipeline.publish import Publication
from pipeline.repo.lock import AUDIT, LOCK
from pipeline.track.connection import connect
from pipeline.track.follow import Stream
from pipeline.track.result_run import settle_run
from pipeline.version.registry import VERIFIED, read_aliases
from tests.fault.test_tracking_faults import OPTIONS
from tests.support.published import FINGERPRINT, HISTORY, REGISTRY, RESULTS, TRACKING, Project

_IDENTITY = {
    "GIT_AUTHOR_NAME": "a",
    "GIT_AUTHOR_EMAIL": "a@example.org",
    "GIT_COMMITTER_NAME": "a",
    "GIT_COMMITTER_EMAIL": "a@example.org",
}
_FIRST = datetime(2026, 1, 1, tzinfo=UTC)
_FILES = (
    RESULTS.manifest,
    RESULTS.report,
    RESULTS.page,
    RESULTS.normalization,
    RESULTS.record,
    RESULTS.model,
    RESULTS.bundle,
    RESULTS.history,
    RESULTS.metrics,
    RESULTS.predictions,
    RESULTS.recipe,
    RESULTS.candidates,
    RESULTS.kept,
)


class Recorded(Project):
    """A project under git and DVC, each commit a day after the one before."""

    def __init__(self, folder):
        super().__init__(folder)
        self.day = 0
        self.git("init", "--quiet", "--initial-branch", "main")
        write_text(folder / ".gitignore", "/mlflow*\n/.rootstock/\n/.dvc/cache\n*.db\n")
        write_text(folder / ".dvc/config", "")

    def git(self, *arguments):
        moment = (_FIRST + timedelta(days=self.day)).isoformat()
        dates = {"GIT_AUTHOR_DATE": moment, "GIT_COMMITTER_DATE": moment}
        done = subprocess.run(
            ["git", *arguments],
            cwd=self.folder,
            check=True,
            capture_output=True,
            text=True,
            env=os.environ | _IDENTITY | dates,
        )
        return done.stdout.strip()

    def record(self):
        """Write the lock as DVC would, its objects into the cache, and the folders of plots."""
        super().record()
        clean = self.lock["stages"]["clean"]["outs"]
        for plots in RESULTS.plots:
            clean.append({"path": str(plots), "md5": self._store_folder(plots)})
        self.lock["stages"]["publish"]["cmd"] = " ".join(
            ["python -m stages.publish", *(each for each in OPTIONS)]
        ).replace(" --normalize-plots artifacts/normalize/plots", "")
        for path in _FILES:
            self._store(path)
        write_text(self.folder / LOCK, yaml.safe_dump(self.lock))
        return self

    def _store(self, path):
        md5 = md5_file(self.folder / path)
        place = self.object(md5)
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(self.folder / path, place)
        return md5

    def _store_folder(self, path):
        (self.folder / path).mkdir(parents=True, exist_ok=True)
        files = sorted(each for each in (self.folder / path).rglob("*") if each.is_file())
        listing = [
            {"md5": self._store(each), "relpath": each.relative_to(self.folder / path).as_posix()}
            for each in files
        ]
        scratch = self.folder / ".dvc/listing"
        scratch.parent.mkdir(exist_ok=True)
        scratch.write_text(json.dumps(listing))
        md5 = f"{md5_file(scratch)}.dir"
        self.object(md5).parent.mkdir(parents=True, exist_ok=True)
        scratch.replace(self.object(md5))
        return md5

    def object(self, md5):
        """Give the place of an object in the cache."""
        return self.folder / ".dvc/cache/files/md5" / md5[:2] / md5[2:]

    def commit(self, message="a result"):
        """Commit what git would have of it, and give the commit."""
        self.day += 1
        self.git(
            "add",
            ".gitignore",
            "params.yaml",
            "dvc.yaml",
            LOCK,
            str(RESULTS.report),
            str(RESULTS.metrics),
            str(RESULTS.normalization),
            "train.py",
        )
        self.git("commit", "--quiet", "--allow-empty", "--message", message)
        return self.git("rev-parse", "HEAD")

    def result(self, lr, *, weights=None):
        """Train with another rate, and commit."""
        self.retrain(weights or f"weights of {lr}")
        self.set_param("optim", lr=lr)
        return self.commit()


@pytest.fixture
def project(repository):
    return Recorded(repository)


def sync(*, dry_run=False):
    return list(Sync(Path(), dry_run=dry_run).run())


def results(found):
    return [each for each in found if each.kind == "result"]


def told(found, kind="result"):
    return [(each.state, each.version, each.version_state) for each in found if each.kind == kind]


def runs(tracking):
    found = tracking.client.search_runs(
        [tracking.experiment_id], order_by=["attributes.start_time ASC"]
    )
    return list(found)


def numbers(tracking, name="cells"):
    """Give number -> `dvc.model` of the versions that are there."""
    versions = tracking.client.search_model_versions(f"name = '{name}'")
    return {int(each.version): each.tags["dvc.model"] for each in versions}


def decide_on(project, model, version, *, action="promote", champion=None):
    """Add a decision of the audit."""
    aliases = {"candidate": model, "champion": champion or model}
    draft = Draft(
        by="a",
        action=action,
        name="cells",
        model=model,
        key="k",
        version=str(version),
        aliases=aliases,
        reason="it is better",
        evidence={},
    )
    project.day += 1
    return write_decision(AUDIT, draft, time=_FIRST + timedelta(days=project.day))


def test_results_come_in_their_order_with_their_commits_and_times(tracking, project):
    commits = [project.result(lr) for lr in (0.1, 0.2, 0.3)]
    found = sync()
    assert told(found) == [("made", f"cells {n}", "made") for n in (1, 2, 3)]
    assert [run.data.tags["git.commit"] for run in runs(tracking)] == commits
    assert [run.data.params["optim.lr"] for run in runs(tracking)] == ["0.1", "0.2", "0.3"]
    for number, run in enumerate(runs(tracking), 1):
        assert run.data.tags["git.commit.provisional"] == "false"
        assert run.data.tags["git.branch"] == "main"
        assert run.data.tags["mlflow.user"] == "a"
        moment = _FIRST + timedelta(days=number)
        assert run.info.start_time == moment.timestamp() * 1000
    assert told(sync()) == [("there", f"cells {n}", "there") for n in (1, 2, 3)]
    assert len(runs(tracking)) == 3


def test_what_was_published_is_what_is_synced(tracking, project, mlflow_template):
    project.result(0.1)
    settle_run(tracking, project.gathered())
    (before,) = runs(tracking)
    assert before.data.tags["git.commit.provisional"] == "false"
    shutil.copyfile(mlflow_template, "new.db")
    os.environ["MLFLOW_TRACKING_URI"] = f"sqlite:///{Path('new.db').resolve()}"
    sync()
    (after,) = runs(connect(TRACKING.experiment))
    assert after.data.params == before.data.params
    assert after.data.metrics == before.data.metrics
    ids = {"mlflow.user", "git.dirty"}
    assert {k: v for k, v in after.data.tags.items() if k not in ids} == {
        k: v for k, v in before.data.tags.items() if k not in ids
    }


def test_a_dry_run_makes_nothing(repository, project):
    project.result(0.1)
    (repository / "mlflow.db").unlink()
    assert told(sync(dry_run=True)) == [("would be made", "cells", "would be made")]
    assert not (repository / "mlflow.db").exists()


def test_touched_code_and_another_model_of_the_same_key_make_no_second_run(tracking, project):
    project.result(0.1, weights="w1")
    project.touch_code("train")
    project.commit()
    project.retrain("w2", shift=0.0004, fingerprint=FINGERPRINT | {"cpu": "AVX512"})
    project.commit()
    found = sync()
    assert told(found) == [
        ("made", "cells 1", "made"),
        ("there", "cells 1", "there"),
        ("confirmed", "", ""),
    ]
    (run,) = runs(tracking)
    assert len(run.data.tags["dvc.keys"].split()) == 2
    note = json.loads(run.data.tags[f"confirmed.{project.gathered().keys.model[:8]}"])
    assert note["date"] == "2026-01-04T00:00:00Z"
    assert note["fingerprint"]["cpu"] == "AVX512"
    assert note["largest_difference"] == pytest.approx(0.0004)
    again = results(sync())
    assert [each.state for each in again] == ["there", "there", "confirmed"]
    assert runs(tracking)[0].data.tags == run.data.tags


def test_what_is_missing_or_damaged_is_named_and_costs_nothing_else(tracking, project):
    project.result(0.1)
    lost = project.gathered().keys.model
    project.result(0.2)
    project.object(lost).unlink()
    project.result(0.3)
    project.object(project.gathered().keys.model).write_bytes(b"rot")
    first, second, third = results(sync())
    assert (first.state, second.state, third.state) == ("missing", "made", "missing")
    assert "artifacts/train/model.safetensors (not in DVC's cache)" in first.note
    assert "run `dvc fetch --all-commits artifacts/train/model.safetensors`" in first.note
    assert first.commit[:12] in first.note
    assert "model.safetensors (damaged in DVC's cache)" in third.note
    assert len(runs(tracking)) == 1


def test_a_damaged_lock_is_named_and_an_unfinished_one_is_none(tracking, project):
    project.result(0.1)
    text = (project.folder / LOCK).read_text()
    write_text(project.folder / LOCK, f"<<<<<<< HEAD\n{text}")
    damaged = project.commit("in the middle of a merge")
    unfinished = yaml.safe_load(text)
    del unfinished["stages"]["evaluate"]
    write_text(project.folder / LOCK, yaml.safe_dump(unfinished))
    project.commit("not finished")
    found = results(sync())
    assert [each.state for each in found] == ["missing", "made"]
    assert found[0].note.startswith(f"dvc.lock of {damaged[:12]}: has the markers of an unresolved")


def test_an_experiment_is_no_version_until_it_is_committed(tracking, project):
    project.result(0.1)
    base = project.git("rev-parse", "HEAD")
    tip = project.result(0.2)
    project.git("reset", "--hard", "--quiet", base)
    project.git("update-ref", f"refs/exps/{base[:2]}/{base[2:]}/warm-bee", tip)
    found = sync()
    assert told(found) == [("made", "cells 1", "made"), ("made", "", "")]
    assert [run.info.run_name for run in runs(tracking)][1] == "warm-bee"
    project.git("merge", "--quiet", "--ff-only", tip)
    project.day += 1
    assert told(sync())[1] == ("there", "cells 2", "made")
    assert [run.info.run_name for run in runs(tracking)][1] == "warm-bee"


def test_another_experiment_and_model_name_are_those_of_the_commit(project):
    project.params["tracking"]["experiment"] = "old"
    project.params["registry"]["name"] = "old"
    project.result(0.1)
    project.params["tracking"]["experiment"] = "cells"
    project.params["registry"]["name"] = "cells"
    project.result(0.2)
    assert [each.version for each in results(sync())] == ["old 1", "cells 1"]
    for name in ("old", "cells"):
        tracking = connect(name)
        assert len(runs(tracking)) == 1
        assert set(numbers(tracking, name)) == {1}


def test_numbers_and_aliases_are_those_of_the_audit(tracking, project):
    models = []
    for lr, number in ((0.1, 2), (0.2, 5), (0.3, 6)):
        project.result(lr)
        models.append(project.gathered().keys.model)
        decide_on(project, models[-1], number, champion=models[0])
    found = sync()
    assert numbers(tracking) == {2: models[0], 5: models[1], 6: models[2]}
    assert read_aliases(tracking, "cells") == {"candidate": "6", "champion": "2"}
    assert summary(found).endswith("versions: 3 made; aliases: 2 made\n")
    assert summary(sync()).endswith("versions: 3 there; aliases: 2 there\n")


def test_a_registry_that_was_begun_anew_gets_its_old_numbers(tracking, project):
    """`dvc repro` on an empty database registers the present result as version 1."""
    models = []
    for lr, number in ((0.1, 1), (0.2, 2)):
        project.result(lr)
        models.append(project.gathered().keys.model)
        decide_on(project, models[-1], number)
    register_present(project, tracking)
    assert numbers(tracking) == {1: models[1]}
    sync()
    assert numbers(tracking) == {1: models[0], 2: models[1]}
    assert read_aliases(tracking, "cells") == {"candidate": "2", "champion": "2"}
    before = {each.run_id for each in tracking.client.search_model_versions("name = 'cells'")}
    sync()
    after = {each.run_id for each in tracking.client.search_model_versions("name = 'cells'")}
    assert before == after


def test_a_registry_that_holds_something_else_is_added_to(tracking, project):
    project.result(0.1)
    decide_on(project, project.gathered().keys.model, 1)
    project.retrain("not committed")
    register_present(project.set_param("optim", lr=0.5), tracking)
    foreign = project.gathered().keys.model
    project.git("checkout", "--quiet", ".")
    sync()
    assert numbers(tracking)[1] == foreign
    assert len(numbers(tracking)) == 2


def register_present(project, tracking):
    """Publish the present result up to its version; it cannot be verified, it has no pictures."""
    result = project.gathered()
    Publication(tracking, result, REGISTRY).register(settle_run(tracking, result))


def test_a_version_without_its_raw_files_says_that_it_is_not_verified(tracking, project):
    project.result(0.1)
    found, alias = sync()
    assert "cells: the audit has no decision on its versions" in alias.note
    assert "version 1 is not verified" in found.note
    assert "dvc fetch --all-commits data/cells/raw" in found.note
    (version,) = tracking.client.search_model_versions("name = 'cells'")
    assert version.tags[VERIFIED].startswith("not verified: ")
    assert "candidate" not in read_aliases(tracking, "cells")


def journal(key, rows=HISTORY):
    with Journal.open(key, {}, first_epoch=1) as log:
        for row in rows:
            log.epoch(row["epoch"], {k: v for k, v in row.items() if k != "epoch"})


def test_a_training_that_only_its_journal_tells_of_gets_its_run_once(tracking, project):
    project.result(0.1)
    key = "f" * 64
    journal(key, [{"epoch": 1, "train_loss": 3.0}, {"epoch": 2, "train_loss": 2.0}])
    found = sync()
    assert told(found, "journal") == [("made", "", "")]
    run = next(each for each in runs(tracking) if each.data.tags["dvc.train"] == key)
    assert run.info.status == "FINISHED"
    assert run.data.metrics["train_loss"] == 2.0
    assert "publish.complete" not in run.data.tags
    assert told(sync(), "journal") == [("there", "", "")]


def test_a_journal_of_touched_code_that_came_to_the_same_makes_no_run(tracking, project):
    project.result(0.1)
    journal("e" * 64)
    assert told(sync(), "journal") == [("there", "", "")]
    assert len(runs(tracking)) == 1


def test_a_run_whose_machine_died_is_ended(tracking, project):
    key = "d" * 64
    path = journal_path(key)
    journal(key)
    text = path.read_text().splitlines(keepends=True)
    path.write_text("".join(text[:2]))  # the start and one epoch: it was killed
    Stream(key, {}, TRACKING.experiment).send(read_journal(path), status="RUNNING")
    assert told(sync(), "journal") == [("ended", "", "")]
    (run,) = runs(tracking)
    assert run.info.status == "KILLED"
    assert told(sync(), "journal") == [("there", "", "")]


def test_a_result_trained_again_is_confirmed_with_its_date(tracking, project):
    key = project.gathered().keys.train
    journal(key)
    project.result(0.1)
    journal(project.gathered().keys.train)
    sync()
    (run,) = runs(tracking)
    tag = f"confirmed.{run.data.tags['dvc.model'][:8]}"
    assert tag not in run.data.tags
    journal(project.gathered().keys.train)
    settle_run(tracking, project.gathered())
    (run,) = runs(tracking)
    note = read_json_text(run.data.tags[tag])
    assert note["comparison"] == "the model is equal to the bit"
    assert note["fingerprint"] == FINGERPRINT
    assert datetime.fromisoformat(note["date"]).year >= 2026


def read_json_text(text):
    value = json.loads(text)
    assert canonical_json(value) == text
    return value


def test_params_that_are_wrong_are_told_first(project):
    project.result(0.1)
    write_text(project.folder / "params.yaml", "registry: {}\n")
    with pytest.raises(ParamsError, match=r"params\.yaml"):
        sync()
    assert read_json(project.folder / RESULTS.metrics)["n"] == 8
