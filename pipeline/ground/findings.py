"""What a check found: one line for people, the same as JSON for programs."""

import json
import os
from collections.abc import Generator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, TypeVar

from pipeline.ground.errors import MachineError, PipelineError
from pipeline.ground.stage import machine_error

R = TypeVar("R")

VERSION = 1
"""Of the JSON; another one has other keys."""

_CHECK_WIDTH = len("packages")

Level = Literal["ok", "warning", "error"]


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at."""

    level: Level
    subject: str
    """What was looked at, as the user would name it."""

    text: str
    """What was found there."""

    remedy: str | None = None
    exit_code: int = 0
    """Of an error: what a stage that met it would end with."""

    is_fixed: bool = False
    """Whether `--fix` mended it."""

    check: str = ""
    """The concern, such as `data`; set by `gather`."""

    def line(self) -> str:
        """Return it in the form of an error: `<subject>: <text> (<remedy>)`."""
        return f"{self.subject}: {self.text}" + (f" ({self.remedy})" if self.remedy else "")

    def to_dict(self) -> dict[str, Any]:
        """Return it in JSON's types; the keys are stable."""
        return {
            "check": self.check,
            "level": self.level,
            "subject": self.subject,
            "text": self.text,
            "remedy": self.remedy,
            "exit_code": self.exit_code,
            "fixed": self.is_fixed,
        }


def ok(subject: object, text: str) -> Finding:
    """Return what is as it should be."""
    return Finding("ok", str(subject), text)


def warn(subject: object, text: str, remedy: str | None = None) -> Finding:
    """Return what does not stop a run, and should be known."""
    return Finding("warning", str(subject), text, remedy)


def fixed(subject: object, text: str) -> Finding:
    """Return what `--fix` mended."""
    return Finding("ok", str(subject), text, is_fixed=True)


def fault(error: PipelineError) -> Finding:
    """Return an error as a finding."""
    subject, text, remedy = _parts(str(error))
    return Finding("error", subject, text, remedy, error.exit_code)


def demoted(error: PipelineError) -> Finding:
    """Return an error as a warning: it does not stop a run."""
    return replace(fault(error), level="warning", exit_code=0)


def _parts(line: str) -> tuple[str, str, str | None]:
    """Take `<subject>: <text> (<remedy>)` apart; the remedy is the last outer parenthesis."""
    subject, _, rest = line.partition(": ")
    depth = 0
    for place in range(len(rest) - 1, 0, -1) if rest.endswith(")") else ():
        depth += {")": 1, "(": -1}.get(rest[place], 0)
        if depth == 0:
            if rest[place - 1] != " " or rest[:place].endswith(", got "):
                break
            return subject, rest[: place - 1], rest[place + 1 : -1]
    return subject, rest, None


def gather(check: str, findings: Generator[Finding, None, R]) -> tuple[list[Finding], R | None]:
    """Run one check to its end; an error ends it, and becomes its last finding.

    Args:
        check: The concern.
        findings: Yields what it finds, and returns what other checks need.

    Returns:
        The findings, and what the check returned; None if an error ended it.
    """
    found: list[Finding] = []
    while True:
        try:
            each = next(findings)
        except StopIteration as end:
            return found, end.value
        except (PipelineError, OSError) as error:
            return [*found, replace(_last(error, check), check=check)], None
        found.append(replace(each, check=check))


def _last(error: PipelineError | OSError, check: str) -> Finding:
    if isinstance(error, PipelineError):
        return fault(error)
    told = machine_error(error, check)
    text = os.strerror(error.errno) if error.errno else str(error)
    return fault(told or MachineError(error.filename or check, text or type(error).__name__))


def exit_code(findings: Sequence[Finding]) -> int:
    """Return the exit code: that of the first error, or 0."""
    return next((each.exit_code for each in findings if each.level == "error"), 0)


def as_line(finding: Finding) -> str:
    """Return a finding as a line of the report."""
    return f"{finding.level:<7}  {finding.check:<{_CHECK_WIDTH}}  {finding.line()}"


def summary(findings: Sequence[Finding]) -> str:
    """Return the last lines of the report: how many of each, and whether a run can start."""
    errors, warnings = _count(findings, "error"), _count(findings, "warning")
    counted = f"{_plural(errors, 'error')}, {_plural(warnings, 'warning')}"
    mended = sum(each.is_fixed for each in findings)
    counted += f", {mended} mended" if mended else ""
    repro = "`rootstock repro`"
    return f"\n{counted}: {f'mend the errors before {repro}' if errors else f'{repro} can start'}\n"


def as_json(findings: Sequence[Finding]) -> str:
    """Return all of it as JSON."""
    content = {
        "version": VERSION,
        "exit_code": exit_code(findings),
        "counts": {level: _count(findings, level) for level in ("ok", "warning", "error")},
        "findings": [each.to_dict() for each in findings],
    }
    return json.dumps(content, indent=2, ensure_ascii=False) + "\n"


def _plural(n: int, noun: str) -> str:
    return f"{n or 'no'} {noun}{'' if n == 1 else 's'}"


def _count(findings: Sequence[Finding], level: Level) -> int:
    return sum(each.level == level for each in findings)
