"""What dvc.lock records is read strictly: what is no entry of DVC is told."""

import pytest

from pipeline.ground.errors import IntegrityError, ParamsError
from pipeline.repo.lock import Lock

LOCK = """
schema: '2.0'
stages:
  clean:
    cmd: python -m stages.clean
    deps:
    - path: data/small/raw
      hash: md5
      md5: 575f5b8f2b966a21247ca5e6719e6295.dir
      nfiles: 2
    outs:
    - path: artifacts/clean/manifest.parquet
      hash: md5
      md5: '00000000000000000000000000000123'
      size: 4
  weights:
    cmd: python -m stages.weights
    outs:
    - path: artifacts/weights/backbone.json
      hash: md5
      md5: fce4a9ace90cf81063e1019ca1b46a63
"""


def test_entries_of_a_lock():
    lock = Lock.parse(LOCK, "dvc.lock")
    assert lock.stages == ("clean", "weights")
    assert lock.command("clean") == "python -m stages.clean"
    assert lock.command("other") == ""
    assert lock.deps("clean") == {"data/small/raw": "575f5b8f2b966a21247ca5e6719e6295.dir"}
    assert lock.deps("weights") == {}
    assert lock.all_outs() == {
        "artifacts/clean/manifest.parquet": "0" * 29 + "123",
        "artifacts/weights/backbone.json": "fce4a9ace90cf81063e1019ca1b46a63",
    }
    assert lock.out("weights", "backbone.json") == "fce4a9ace90cf81063e1019ca1b46a63"
    with pytest.raises(ParamsError, match="must record one manifest"):
        lock.out("weights", "manifest.parquet")


@pytest.mark.parametrize(
    "content",
    [
        {},
        {"stages": None},
        {"stages": {"clean": None}},
        {"stages": {"clean": {"outs": "x"}}},
        {"stages": {"clean": {"outs": ["x"]}}},
        {"stages": {"clean": {"outs": [{"path": "a"}]}}},
    ],
)
def test_what_is_no_entry_of_dvc_is_told(content):
    with pytest.raises(ParamsError, match=r"^dvc\.lock: "):
        Lock(content, "dvc.lock").all_outs()


def test_stages_come_after_what_they_read():
    files = {"a": ("x", "y"), "b": ("y", "z"), "c": ("x", "w"), "d": ("z", "x")}
    stages = {
        name: {"deps": [{"path": dep, "md5": "1"}], "outs": [{"path": out, "md5": "1"}]}
        for name, (dep, out) in reversed(files.items())
        if name != "d"
    }
    assert Lock({"stages": stages}, "dvc.lock").leading_to("b") == ("a", "b")
    stages["d"] = {"deps": [{"path": "z", "md5": "1"}], "outs": [{"path": "x", "md5": "1"}]}
    with pytest.raises(IntegrityError, match="need one another"):
        Lock({"stages": stages}, "dvc.lock").leading_to("b")
