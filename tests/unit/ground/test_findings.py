"""Findings keep an error's parts and exit code, and none of them ends the others."""

import json

import pytest

from pipeline.ground.errors import DataError, MachineError, ParamsError, TrackingError
from pipeline.ground.findings import (
    as_json,
    as_line,
    demoted,
    exit_code,
    fault,
    fixed,
    gather,
    ok,
    summary,
    warn,
)


@pytest.mark.parametrize(
    ("error", "parts"),
    [
        (
            DataError("a.csv", "must be good", field="x", got=(1, 2), remedy="mend it (soon)"),
            ("a.csv", "x: must be good, got (1, 2)", "mend it (soon)"),
        ),
        (
            ParamsError("params.yaml", "must be a number, got f(x)"),
            ("params.yaml", "must be a number, got f(x)", None),
        ),
        (
            MachineError("https://a:9/b", "is away", remedy="wait"),
            ("https://a:9/b", "is away", "wait"),
        ),
    ],
    ids=["all", "a parenthesis that is no remedy", "a colon in the subject"],
)
def test_an_error_is_taken_apart_and_reads_as_before(error, parts):
    finding = fault(error)
    assert (finding.subject, finding.text, finding.remedy) == parts
    assert finding.line() == str(error)
    assert finding.exit_code == error.exit_code
    assert demoted(error).exit_code == 0


def test_an_error_ends_its_own_check_and_keeps_what_came_before():
    def check():
        yield ok("a", "is fine")
        raise DataError("b", "is not")
        yield ok("c", "never seen")

    found, result = gather("data", check())
    assert [(each.check, each.level, each.subject) for each in found] == [
        ("data", "ok", "a"),
        ("data", "error", "b"),
    ]
    assert result is None


def test_the_operating_system_s_refusals_are_findings_too(tmp_path):
    def check():
        yield ok("a", "is fine")
        (tmp_path / "none").read_text()

    found, _ = gather("data", check())
    assert found[-1].line() == f"{tmp_path / 'none'}: No such file or directory"
    assert found[-1].exit_code == 4


def test_a_bug_is_not_hidden():
    def check():
        yield ok("a", "is fine")
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        gather("data", check())


def test_what_a_check_returns_is_given_on():
    def check():
        yield warn("a", "is odd")
        return 3

    assert gather("data", check())[1] == 3


def test_the_first_error_decides_the_exit_code():
    found = [ok("a", "b"), fault(DataError("a", "b")), fault(ParamsError("a", "b"))]
    assert exit_code(found) == 3
    assert exit_code([warn("a", "b"), demoted(TrackingError("a", "b"))]) == 0


def test_people_read_lines_and_a_count():
    found = [warn("disk", "is small", "clean up"), fixed("lock", "is restored")]
    assert as_line(found[0]).split() == "warning disk: is small (clean up)".split()
    assert "no errors, 1 warning, 1 mended" in summary(found)
    assert "mend the errors" in summary([fault(DataError("a", "b"))])


def test_programs_read_json_with_stable_keys():
    found = [ok("a", "b"), fault(DataError("c", "d", remedy="e"))]
    content = json.loads(as_json(found))
    assert content == {
        "version": 1,
        "exit_code": 3,
        "counts": {"ok": 1, "warning": 0, "error": 1},
        "findings": [
            {
                "check": "",
                "level": "ok",
                "subject": "a",
                "text": "b",
                "remedy": None,
                "exit_code": 0,
                "fixed": False,
            },
            {
                "check": "",
                "level": "error",
                "subject": "c",
                "text": "d",
                "remedy": "e",
                "exit_code": 3,
                "fixed": False,
            },
        ],
    }
