"""Two clones, one S3 remote, one MLflow server on PostgreSQL: shared, merged, broken and mended."""

import shutil
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd
import pytest
import yaml

from tests.support.closure import ROOT
from tests.support.project import ENVIRONMENT, commit, package_data, run, set_params, small_project
from tests.support.servers import KEYS, mlflow_server, postgres_cluster, s3_server, until

pytestmark = pytest.mark.slow

DRIVER = "dvc git-hook merge-driver --ancestor %O --our %A --their %B"
RAW, LABELS = Path("data/small/raw"), Path("data/small/labels.csv")
WRITTEN = [
    "artifacts/clean/report.json",
    "artifacts/evaluate/metrics.json",
    "artifacts/normalize/normalization.json",
    "dvc.lock",
]


@dataclass
class Team:
    """The servers, the bare repository between the clones, and the environment of everyone."""

    folder: Path
    postgres: object
    server: object
    objects: object
    env: dict[str, str]
    heads: dict[str, str] = field(default_factory=dict)

    @property
    def ada(self):
        return self.folder / "ada"

    @property
    def ben(self):
        return self.folder / "ben"

    def run(self, clone, *command, **options):
        return run(clone, *command, env=self.env, **options)

    def clone(self, name):
        """Make another person's clone, which knows how to merge folders."""
        run(self.folder, "git", "clone", "--quiet", "origin", name)
        know_how_to_merge(self.folder / name)
        return self.folder / name

    def share(self, clone):
        """Push commits and data."""
        self.run(clone, "git", "push", "--quiet", "--set-upstream", "origin", "main")
        self.run(clone, "dvc", "push", "--quiet")

    def runs(self, experiment):
        """Give (id, status, complete) of the runs that are not deleted."""
        return self.postgres.query(
            "select r.run_uuid, r.status, t.value from runs r join experiments e "
            "on e.experiment_id = r.experiment_id left join tags t on t.run_uuid = r.run_uuid and "
            f"t.key = 'publish.complete' where e.name = '{experiment}' and "
            "r.lifecycle_stage = 'active' order by 1"
        )

    def versions(self, name):
        """Give (number, run, weights) of the versions of a registered model."""
        return self.postgres.query(
            "select v.version, v.run_id, t.value from model_versions v join model_version_tags t "
            "on t.name = v.name and t.version = v.version and t.key = 'dvc.model' "
            f"where v.name = '{name}' and v.current_stage <> 'Deleted_Internal' order by 1"
        )

    def tag(self, run_id, name):
        query = f"select value from tags where run_uuid = '{run_id}' and key = '{name}'"
        return self.postgres.query(query)[0][0]


def know_how_to_merge(clone):
    run(clone, "git", "config", "merge.dvc.driver", DRIVER)


@pytest.fixture(scope="module")
def team(tmp_path_factory):
    """Servers, and the first clone with its result, shared."""
    folder = tmp_path_factory.mktemp("team")
    with (
        postgres_cluster() as postgres,
        s3_server(folder, ["store", "artifacts"]) as (s3, objects),
        mlflow_server(
            folder,
            postgres.uri(),
            "s3://artifacts/cells",
            env=KEYS | {"MLFLOW_S3_ENDPOINT_URL": s3},
        ) as server,
    ):
        team = Team(folder, postgres, server, objects, KEYS | {"MLFLOW_TRACKING_URI": server.url})
        ada = small_project(team.ada, items=48)
        set_params(
            ada,
            features={"cut": "none", "views": 1},
            train={"strategy": "head", "test_views": 1, "batch_norm": "stored"},
        )
        put_labels_into_git(ada)
        run(ada, "dvc", "remote", "add", "--default", "store", "s3://store/cells")
        run(ada, "dvc", "remote", "modify", "store", "endpointurl", s3)
        run(ada, "dvc", "remote", "modify", "store", "verify", "true")
        run(folder, "git", "init", "--quiet", "--bare", "--initial-branch", "main", "origin")
        run(ada, "git", "remote", "add", "origin", str(folder / "origin"))
        know_how_to_merge(ada)
        team.run(ada, "rootstock", "repro")
        commit(ada, "a first result")
        team.share(ada)
        yield team


def put_labels_into_git(clone):
    """Keep the label file beside the raw folder, sorted, so that git merges its rows."""
    table = pd.read_csv(clone / RAW / LABELS.name, dtype=str)
    (clone / RAW / LABELS.name).unlink()
    write_labels(clone, table)
    set_params(clone, data={"labels": LABELS.as_posix()})
    run(clone, "dvc", "add", "--quiet", RAW.as_posix())


def read_labels(clone):
    return pd.read_csv(clone / LABELS, dtype=str, keep_default_na=False)


def write_labels(clone, table):
    table.sort_values("path").to_csv(clone / LABELS, index=False, lineterminator="\n")


def add_pictures(clone, numbers):
    """Add pictures of the demonstration set, by their place in it, with their rows."""
    table = read_labels(clone)
    names = sorted(path.name for path in (package_data() / "images").iterdir())
    fresh = [f"images/{names[number]}" for number in numbers]
    assert not set(fresh) & set(table["path"])
    for path in fresh:
        shutil.copy(package_data() / path, clone / RAW / path)
    rows = pd.DataFrame({"path": fresh, "label": "functional", "weight": "1.0"})
    write_labels(clone, pd.concat([table, rows]).fillna("0"))
    run(clone, "dvc", "add", "--quiet", RAW.as_posix())
    return fresh


def relabel(clone, rows):
    """Turn labels, by the place of the row."""
    table = read_labels(clone)
    turned = table.index[list(rows)]
    other = {"functional": "defective", "defective": "functional"}
    table.loc[turned, "label"] = table.loc[turned, "label"].map(other)
    write_labels(clone, table)
    return dict(zip(table.loc[turned, "path"], table.loc[turned, "label"], strict=True))


def stages_run(done):
    """Give the stages that a `dvc repro` really ran."""
    lines = done.stdout.splitlines()
    return [line.split("'")[1] for line in lines if line.startswith("Running stage")]


def outputs(clone):
    lock = yaml.safe_load((clone / "dvc.lock").read_text(encoding="utf-8"))
    return {
        out["path"]: out["md5"]
        for stage in lock["stages"].values()
        for out in stage.get("outs", [])
    }


def head(clone):
    return run(clone, "git", "rev-parse", "HEAD").stdout.strip()


def test_the_second_clone_gets_everything_without_computing(team):
    before = team.runs("elpv"), team.versions("elpv-cells")
    ben = team.clone("ben")
    team.run(ben, "dvc", "pull", "--with-deps", "publish")
    done = team.run(ben, "rootstock", "repro")
    assert stages_run(done) == ["publish"]
    assert outputs(ben) == outputs(team.ada)
    assert (team.runs("elpv"), team.versions("elpv-cells")) == before
    ((run_id, status, complete),) = before[0]
    assert (status, complete) == ("FINISHED", "true")
    assert team.tag(run_id, "git.commit") == head(ben)
    assert team.tag(run_id, "git.commit.provisional") == "false"
    assert run(ben, "git", "status", "--short").stdout == ""
    for path in (team.ada / RAW).rglob("*.png"):
        assert (ben / path.relative_to(team.ada)).read_bytes() == path.read_bytes()


def test_artifacts_go_through_the_server_to_the_bucket(team):
    ((_, run_id, _),) = team.versions("elpv-cells")
    target = team.folder / "downloaded"
    only_address = {"MLFLOW_TRACKING_URI": team.server.url}  # and no keys of the bucket
    run(
        team.folder,
        "mlflow",
        "artifacts",
        "download",
        "--artifact-uri",
        "models:/elpv-cells/1",
        "--dst-path",
        str(target),
        env=only_address,
    )
    (model,) = target.rglob("model.safetensors")
    trained = team.ada / "artifacts/train/model.safetensors"
    assert model.read_bytes() == trained.read_bytes()
    kept = team.objects.list_objects_v2(Bucket="artifacts")["Contents"]
    assert any(run_id in each["Key"] for each in kept)


def test_both_change_data_at_once_and_the_merge_has_both(team):
    ada, ben = team.ada, team.ben
    adas = add_pictures(ada, range(20, 1200, 270))
    set_params(ada, evaluate={"bootstrap": 60})
    team.run(ada, "rootstock", "repro")
    commit(ada, "five more pictures")
    team.share(ada)
    turned = relabel(ben, [30, 35, 40])  # git merges rows that are not neighbors
    bens = add_pictures(ben, [2420, 2520, 2600])
    set_params(ben, train={"dropout": 0.25})
    team.run(ben, "rootstock", "repro")
    commit(ben, "relabeled, and three pictures")
    team.heads |= {"ada": head(ada), "ben": head(ben)}

    run(ben, "git", "fetch", "--quiet")
    run(ben, "git", "branch", "--force", "theirs", "origin/main")
    team.run(ben, "dvc", "fetch", "--all-branches", f"{RAW}.dvc")
    merged = run(ben, "git", "merge", "theirs", code=1)
    conflicts = run(ben, "git", "diff", "--name-only", "--diff-filter=U").stdout.split()
    assert set(conflicts) <= set(WRITTEN), merged.stdout
    assert "dvc.lock" in conflicts
    team.run(ben, "dvc", "checkout", f"{RAW}.dvc")
    team.run(ben, "rootstock", "repro")
    commit(ben, "merged")
    run(ben, "git", "branch", "--delete", "theirs")
    team.share(ben)

    labels = read_labels(ben).set_index("path")["label"]
    files = {f"images/{path.name}" for path in (ben / RAW).rglob("*.png")}
    assert files == set(labels.index)
    assert len(files) == 48 + 8
    assert set(adas) | set(bens) <= files
    assert not set(adas) & set(bens)
    assert {path: labels[path] for path in turned} == turned
    manifest = pd.read_parquet(ben / "artifacts/clean/manifest.parquet").set_index("path")
    kept = manifest[manifest["status"] == "kept"]
    assert (kept["label"] == labels[kept.index]).all()
    assert {path: manifest["label"][path] for path in turned} == turned
    assert len(team.runs("elpv")) == 4
    assert {complete for *_, complete in team.runs("elpv")} == {"true"}


def test_either_side_of_the_lock_leads_to_the_same(team):
    """Both sides' lock files are mended by the pipeline into the very lock of the merge."""
    for side in ("ada", "ben"):
        run(team.ben, "git", "checkout", team.heads[side], "--", *WRITTEN)
        team.run(team.ben, "dvc", "repro")
        assert run(team.ben, "git", "diff", "HEAD", "--stat").stdout == "", side
    assert len(team.runs("elpv")) == 4


def test_the_merge_equals_a_build_from_nothing(team):
    """Raw data and an empty cache: every stage runs, and writes the same bytes."""
    cleo = team.clone("cleo")
    expected = (cleo / "dvc.lock").read_bytes()
    (cleo / "dvc.lock").unlink()
    team.run(cleo, "dvc", "pull", f"{RAW}.dvc")
    done = team.run(cleo, "dvc", "repro")
    assert len(stages_run(done)) == 9
    assert (cleo / "dvc.lock").read_bytes() == expected
    assert run(cleo, "git", "status", "--short").stdout == ""
    assert len(team.runs("elpv")) == 4


def test_a_pull_request_shows_metrics_plots_and_data(team):
    """The script of the example for CI, in a clone with an empty cache."""
    dana = team.clone("dana")
    script = str(ROOT / "docs/ci/report.sh")
    team.run(dana, "bash", script, team.heads["ada"], "report")
    text = (dana / "report/report.md").read_text(encoding="utf-8")
    names = [line.split("`")[1] for line in text.splitlines() if line.startswith("| `")]
    assert names[:4] == ["accuracy", "balanced_accuracy", "f1_macro", "roc_auc"]
    assert "Not up to date" not in text
    assert f"| metric | {team.heads['ada'][:7]} | here |" in text
    assert "train.dropout" in text
    assert "added: 3" in text
    assert "relabeled: 3" in text
    assert sorted(path.name for path in (dana / "report").iterdir()) == [
        "data.png",
        "plots",
        "report.md",
    ]
    assert (dana / "report/plots/index.html").stat().st_size > 1000
    assert (dana / "report/data.png").read_bytes().startswith(b"\x89PNG")
    assert run(dana, "git", "status", "--short", "--", ":!report").stdout == ""
    assert len(run(dana, "git", "worktree", "list").stdout.splitlines()) == 1


def test_a_pull_request_that_changes_no_number_says_so(team):
    """Against itself; and with a param that nobody ran, it says that the numbers are old."""
    dana = team.folder / "dana"
    script = str(ROOT / "docs/ci/report.sh")
    team.run(dana, "bash", script, "HEAD", "report")
    text = (dana / "report/report.md").read_text(encoding="utf-8")
    assert "**Test split**: no number changed" in text
    assert "No param changed." in text
    assert "better" not in text
    assert "worse" not in text
    set_params(dana, train={"dropout": 0.5})
    run(dana, "git", "commit", "--quiet", "--all", "--message", "not run")
    text = team.run(dana, "rootstock", "metrics", "diff", "HEAD~1").stdout
    assert text.startswith("**Not up to date**: `train` changed after")
    assert "no number changed" in text


def start(team, clone):
    """Start `rootstock repro`, with its output in a file."""
    with (clone / ".rootstock/repro.log").open("wb") as log:
        return subprocess.Popen(
            ["rootstock", "repro"], cwd=clone, env=ENVIRONMENT | team.env, stdout=log, stderr=log
        )


def test_two_clones_that_publish_at_once_make_one_run(team):
    run(team.ada, "git", "pull", "--quiet")
    team.run(team.ada, "dvc", "pull", "--with-deps", "publish")
    for clone in (team.ada, team.ben):
        set_params(clone, tracking={"experiment": "race"}, registry={"name": "race"})
    started = [start(team, clone) for clone in (team.ada, team.ben)]
    assert [each.wait() for each in started] == [0, 0], "see .rootstock/repro.log"
    ((run_id, status, complete),) = team.runs("race")
    assert (status, complete) == ("FINISHED", "true")
    ((_, source_run, _),) = team.versions("race")
    assert source_run == run_id


def test_a_server_that_dies_while_publishing_costs_nothing(team):
    set_params(team.ada, tracking={"experiment": "gone"}, registry={"name": "gone"})
    process = start(team, team.ada)
    until(lambda: team.runs("gone"))
    team.server.kill()
    assert process.wait() == 0
    log = (team.ada / ".rootstock/repro.log").read_text(encoding="utf-8")
    assert "the next `dvc repro` completes the run" in log
    assert "Traceback" not in log
    ((first, *_),) = team.runs("gone")
    team.server.start()
    team.run(team.ada, "rootstock", "repro")
    assert team.runs("gone") == [[first, "FINISHED", "true"]]
    ((_, source_run, _),) = team.versions("gone")
    assert source_run == first


def test_a_database_that_restarts_under_idle_clients_is_not_noticed(team, monkeypatch):
    """Both the server's connections and one's own are checked before they are used again."""
    from mlflow import MlflowClient

    for uri in (team.server.url, team.postgres.uri()):
        client = MlflowClient(tracking_uri=uri, registry_uri=uri)
        found = client.get_experiment_by_name("race")
        run_id = client.create_run(found.experiment_id).info.run_id
        for number in range(3):
            team.postgres.control("restart")
            client.log_metric(run_id, "restarts", number, step=number)
        assert [each.value for each in client.get_metric_history(run_id, "restarts")] == [0, 1, 2]
        client.delete_run(run_id)


def test_other_web_sites_and_hosts_are_refused(team):
    """As docs/team.md starts it, the server answers to its own name only."""
    import http.client

    address = team.server.url.removeprefix("http://")
    for headers, status in (
        ({}, 200),
        ({"Host": "evil.example"}, 403),
        ({"Origin": "https://evil.example"}, 403),
    ):
        connection = http.client.HTTPConnection(address, timeout=20)
        path = "/api/2.0/mlflow/experiments/search"
        body = '{"max_results": 1}'
        connection.request("POST", path, body, {"Content-Type": "application/json"} | headers)
        assert connection.getresponse().status == status, headers
        connection.close()
