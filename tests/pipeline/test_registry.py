"""A version becomes champion when there is none or it is better, once, and the reason is kept."""

import pytest
from pydantic import ValidationError

from pipeline.track.registry import (
    DECISION,
    RegistryParams,
    create_version,
    decide,
    find_version,
    metric_tag,
    read_aliases,
)
from pipeline.track.tracking import connect
from tests.published import REGISTRY


@pytest.fixture
def tracking(repository):
    return connect("cells")


def register(tracking, value, *, metric="accuracy", model="m"):
    """Register a version whose run is as good as `value`; None: it was not measured."""
    run = tracking.client.create_run(tracking.experiment_id)
    tags = {"dvc.model": model}
    if value is not None:
        tags[metric_tag(metric)] = repr(value)
    logged = tracking.client.create_logged_model(tracking.experiment_id)
    return create_version(
        tracking, "cells", model_id=logged.model_id, run_id=run.info.run_id, tags=tags
    )


def decided(tracking, version, value, params=REGISTRY):
    decide(tracking, version, params, value)
    found = tracking.client.get_model_version("cells", version.version)
    return found.tags[DECISION], read_aliases(tracking, "cells")


@pytest.mark.parametrize(
    ("metric", "old", "new", "wins", "reason"),
    [
        ("accuracy", 0.8, 0.9, True, "champion: accuracy 0.9 is better than 0.8 of version 1"),
        ("accuracy", 0.8, 0.8, False, "not champion: accuracy 0.8 is not better than 0.8 of ver"),
        ("accuracy", 0.8, 0.7, False, "not champion: accuracy 0.7 is not better than 0.8 of ver"),
        ("mae", 0.8, 0.7, True, "champion: mae 0.7 is better than 0.8 of version 1"),
        ("mae", 0.8, 0.9, False, "not champion: mae 0.9 is not better than 0.8 of version 1"),
        ("accuracy", None, 0.9, False, "not champion: accuracy is missing on one side"),
        ("accuracy", 0.8, None, False, "not champion: accuracy is missing on one side"),
    ],
    ids=["better", "equal", "worse", "smaller is better", "larger is worse", "unknown champion",
         "unknown candidate"],
)  # fmt: skip
def test_the_better_one_is_champion(tracking, metric, old, new, wins, reason):
    params = REGISTRY.model_copy(update={"metric": metric})
    first = register(tracking, old, metric=metric)
    assert decided(tracking, first, old, params)[0] == "champion: there was none yet"
    text, aliases = decided(tracking, register(tracking, new, metric=metric), new, params)
    assert text.startswith(reason)
    assert aliases == {"candidate": "2", "champion": "2" if wins else "1"}


def test_a_decision_that_was_interrupted_is_not_made_against_oneself(tracking):
    version = register(tracking, 0.9)
    decided(tracking, version, 0.9)
    tracking.client.delete_model_version_tag("cells", version.version, DECISION)
    text, aliases = decided(tracking, version, 0.9)
    assert text == "became champion"
    assert aliases == {"candidate": "1", "champion": "1"}


def test_a_champion_without_the_metric_in_its_tags_is_looked_up_in_its_run(tracking):
    first = register(tracking, None)
    tracking.client.log_metric(first.run_id, "accuracy", 0.5)
    decided(tracking, first, None)
    assert "better than 0.5" in decided(tracking, register(tracking, 0.6), 0.6)[0]


def test_a_version_is_found_by_its_model_the_oldest_first(tracking):
    assert find_version(tracking, "cells", "m") is None
    register(tracking, 0.5, model="other")
    first = register(tracking, 0.5)
    register(tracking, 0.5)
    assert find_version(tracking, "cells", "m").version == first.version
    assert find_version(tracking, "cells", "nothing") is None


@pytest.mark.parametrize(
    ("field", "value"),
    [("name", "a/b"), ("name", ""), ("name", "it's"), ("metric", "acuracy"), ("verify_items", 0),
     ("from_experiments", "no")],
)  # fmt: skip
def test_params_that_cannot_work_are_refused(field, value):
    with pytest.raises(ValidationError, match=field):
        RegistryParams(**(REGISTRY.model_dump() | {field: value}))
