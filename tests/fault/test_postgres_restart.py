"""A PostgreSQL server that is restarted under an open client costs neither a write nor a run."""

import pytest

from pipeline.track.connection import connect
from pipeline.track.result_run import settle_run
from tests.support.published import TRACKING, Project
from tests.support.servers import postgres_cluster

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def server():
    with postgres_cluster() as cluster:
        yield cluster


def test_an_idle_client_goes_on_after_a_restart(server, repository, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", server.uri())
    project = Project(repository)
    tracking = connect(TRACKING.experiment)
    first = settle_run(tracking, project.gathered())
    server.control("restart")
    for lr in (0.1, 0.2, 0.3):
        project.retrain(f"weights of {lr}")
        run = settle_run(tracking, project.set_param("optim", lr=lr).gathered())
        assert run.data.tags["publish.complete"] == "true"
    assert settle_run(tracking, project.gathered()).info.run_id == run.info.run_id
    assert len(tracking.client.search_runs([tracking.experiment_id])) == 4
    assert first.info.run_id != run.info.run_id
