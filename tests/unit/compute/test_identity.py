"""A machine takes part if it shares our folder, our code, our versions and our bits."""

import re
from dataclasses import replace

from pipeline.compute.cluster import SETTINGS
from pipeline.compute.identity import Identity, SharedFolder, agreed, answer_in, difference
from tests.support.closure import ROOT

OWN = Identity("abc", {"python": "3.11.7", "numpy": "2.3.5"})


def test_a_machine_writes_back_the_token_that_it_read(tmp_path):
    shared = SharedFolder(tmp_path / "work" / "map")
    with shared.opened():
        assert answer_in(str(tmp_path), shared.path, "one") is None
        assert shared.has_answer("one")
        assert not shared.has_answer("two")
        (shared.path / "two").write_text("of another folder")
        assert not shared.has_answer("two")
    assert not shared.path.exists()
    assert answer_in("/nowhere", shared.path, "one") == (
        "does not share the folder /nowhere: No such file or directory"
    )


def test_what_differs_is_named():
    assert difference(OWN, OWN) is None
    assert difference(replace(OWN, canary="x"), OWN) is None
    assert difference(replace(OWN, code="abd"), OWN) == "has other code"
    found = replace(OWN, versions={"python": "3.11.7"})
    assert difference(found, OWN) == "has numpy None, here it is 2.3.5"


def test_most_processes_decide_on_the_bits_and_names_on_a_tie():
    votes = {"a": replace(OWN, canary="x"), "b": replace(OWN, canary="y")}
    assert agreed(votes, {"a": 1, "b": 2}) == "y"
    assert agreed(votes, {"a": 2, "b": 2}) == "x"
    assert agreed({}, {}) is None


def test_the_page_says_to_set_what_we_set():
    page = (ROOT / "docs/cluster.md").read_text(encoding="utf-8")
    told = dict(re.findall(r"export (\w+)=(\w+)$", page, re.MULTILINE))
    assert told == SETTINGS | {"RAY_AUTH_MODE": "token"}
