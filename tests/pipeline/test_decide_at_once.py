"""Two clones decide on one registry in the same moment: both entries stay, and git merges them."""

import json
import logging
import shutil
import subprocess

import pytest
import yaml

from pipeline.cli import main
from pipeline.promotion import contest
from pipeline.promotion.decisions import CHAMPION, heads, read_audit, rivals
from pipeline.promotion.promotion import decide_published
from pipeline.track.connection import connect
from pipeline.version.registry import read_aliases
from tests.support.clones import at_once
from tests.support.contenders import Ring
from tests.support.project import ENVIRONMENT
from tests.support.published import PARAMS

pytestmark = pytest.mark.slow

GOOD = [number for number in range(80) if number % 4]
PROMOTE = """
from pipeline.cli import main
from pipeline.promotion import contest
rows = json.loads(Path("../rows.json").read_text())

def answer(uri, paths, environment, folder, *, alone=0):
    numbers = [int(Path(path).read_bytes()[:3]) for path in paths]
    return {"rows": [rows[uri][number] for number in numbers], "bytes": 1000, "latency_ms": None}

contest.ask = answer
code = main(["promote", str(2 + NUMBER), "--reason", f"clone {NUMBER}"])
print()
print(json.dumps(code))
"""


@pytest.fixture(autouse=True)
def kept_logging():
    """`main` sends what is logged to a stream that the test closes."""
    root = logging.getLogger()
    before = root.handlers[:]
    yield
    root.handlers[:] = before


def git(folder, *arguments):
    subprocess.run(
        ["git", *arguments], cwd=folder, check=True, capture_output=True, env=ENVIRONMENT
    )


@pytest.fixture
def merged(repository, monkeypatch):
    """A champion; two clones that each promoted a better version at once; one merged the other."""
    ring = Ring(repository, connect("cells"))
    monkeypatch.setattr(contest, "ask", ring.answer)
    params = PARAMS | {"data": PARAMS["data"] | {"path": str(ring.arena.raw)}}
    decide_published(ring.arena, ring.enter("a", GOOD[:30]))
    ring.enter("b", GOOD[:2])
    ring.enter("c", GOOD[:1])
    (repository / "rows.json").write_text(json.dumps(ring.rows))
    ada, ben, marks = (repository / name for name in ("ada", "ben", "marks"))
    ada.mkdir()
    marks.mkdir()
    shutil.move(repository / "audit", ada / "audit")
    (ada / "params.yaml").write_text(yaml.safe_dump(params))
    (ada / ".gitignore").write_text(".rootstock\n")
    git(ada, "init", "--quiet", "--initial-branch", "main")
    git(ada, "add", "--all")
    git(ada, "commit", "--quiet", "--message", "a champion")
    git(repository, "clone", "--quiet", "ada", "ben")
    codes = at_once(
        [ada, ben], PROMOTE, meet="set_registered_model_alias", uri=ring.tracking.uri, scratch=marks
    )
    assert codes == [0, 0]
    for clone in (ada, ben):
        git(clone, "add", "--all")
        git(clone, "commit", "--quiet", "--message", "decided")
    monkeypatch.chdir(ada)
    monkeypatch.setenv("DVC_ROOT", str(ada))
    monkeypatch.setenv("MLFLOW_TRACKING_URI", ring.tracking.uri)
    return ring


def test_both_decisions_stay_and_people_settle_them(merged, capsys):
    """Before the merge each clone is told of the other's; after it, of both and of what to do."""
    number = read_aliases(merged.tracking, "cells")["champion"]
    assert number in ("2", "3")
    assert main(["audit"]) == 5
    assert "models:/cells/3: its decision" in capsys.readouterr().err
    git(".", "pull", "--quiet", "--no-rebase", "--no-edit", "../ben", "main")
    decisions = read_audit()
    assert [each.version for each in decisions] in (["1", "2", "3"], ["1", "3", "2"])
    assert len(heads(decisions)) == 2
    assert {each.parents for each in decisions[1:]} == {(decisions[0].hash,)}
    assert {each.model for each in rivals(decisions, "cells", CHAMPION)} == {"b", "c"}

    assert main(["audit"]) == 0
    out, _ = capsys.readouterr()
    (line,) = [line for line in out.splitlines() if line.startswith("UNSETTLED")]
    assert "models:/cells@champion: two decisions met" in line
    assert all(f"[{each.hash[:12]}]" in line for each in decisions[1:])
    assert f"it is at version {number} now" in line
    assert "`rootstock promote 2`" in line
    assert "`rootstock promote 3`" in line
    assert "the aliases in the registry are those" not in out

    assert main(["promote", number]) == 0
    out, _ = capsys.readouterr()
    assert "stays champion: settles two decisions that met" in out
    assert len(heads(read_audit())) == 1
    assert main(["audit"]) == 0
    out, _ = capsys.readouterr()
    assert "UNSETTLED" not in out
    assert "the aliases in the registry are those of the audit" in out
    assert read_aliases(merged.tracking, "cells")["champion"] == number


def test_the_other_one_may_contend_which_settles_it_too(merged, capsys):
    git(".", "pull", "--quiet", "--no-rebase", "--no-edit", "../ben", "main")
    present = read_aliases(merged.tracking, "cells")["champion"]
    other = {"2": "3", "3": "2"}[present]
    assert main(["promote", other]) == 2, "it is no better beyond noise: refused, and in the audit"
    assert main(["audit"]) == 0
    assert "UNSETTLED" in capsys.readouterr().out, "a refusal moves nothing"
    assert main(["promote", other, "--override", "--reason", "we agreed on it"]) == 0
    capsys.readouterr()
    assert main(["audit"]) == 0
    assert "UNSETTLED" not in capsys.readouterr().out
    assert read_aliases(merged.tracking, "cells")["champion"] == other
