"""Versions are found by their model."""

import pytest
from pydantic import ValidationError

from pipeline.version.params import RegistryParams
from pipeline.version.registry import create_version, find_version, list_versions
from tests.support.published import REGISTRY


def register(tracking, model):
    """Register a version that holds a model."""
    run = tracking.client.create_run(tracking.experiment_id)
    logged = tracking.client.create_logged_model(tracking.experiment_id)
    return create_version(
        tracking,
        "cells",
        model_id=logged.model_id,
        run_id=run.info.run_id,
        tags={"dvc.model": model},
    )


def test_versions_are_listed_by_their_numbers(tracking):
    assert list_versions(tracking, "cells") == []
    for number in range(11):
        register(tracking, f"m{number}")
    found = list_versions(tracking, "cells")
    assert [version.tags["dvc.model"] for version in found] == [f"m{n}" for n in range(11)]


def test_a_version_is_found_by_its_model_the_oldest_first(tracking):
    assert find_version(tracking, "cells", "m") is None
    register(tracking, "other")
    first = register(tracking, "m")
    again = register(tracking, "n")
    tracking.client.set_model_version_tag("cells", again.version, "dvc.model", "m")
    assert find_version(tracking, "cells", "m").version == first.version
    assert find_version(tracking, "cells", "nothing") is None


def test_the_same_weights_registered_by_two_clones_are_one_version(tracking):
    first = register(tracking, "m")
    register(tracking, "other")
    second = register(tracking, "m")
    assert (second.version, second.run_id) == (first.version, first.run_id)
    left = tracking.client.search_model_versions("name = 'cells'")
    assert sorted(version.version for version in left) == [1, 2]
    kept = tracking.client.search_logged_models([tracking.experiment_id])
    assert {model.model_id for model in kept} == {
        version.source.removeprefix("models:/") for version in left
    }


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("name", "a/b"),
        ("name", ""),
        ("name", "it's"),
        ("verify_items", 0),
        ("max_items", 0),
        ("from_experiments", "no"),
    ],
)
def test_params_that_cannot_work_are_refused(field, value):
    with pytest.raises(ValidationError, match=field):
        RegistryParams(**(REGISTRY.model_dump() | {field: value}))
