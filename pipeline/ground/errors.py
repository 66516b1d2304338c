"""Errors that the user can mend, and the exit code of each.

    PipelineError
    ├── ParamsError         2   params.yaml or the command line
    ├── DataError           3   the raw data, the labels, or what was made of them
    ├── MachineError        4   disk, lock, network, device
    ├── IntegrityError      5   a file is not the one that was recorded
    ├── TrackingError       6   the tracking server, where tracking is required
    └── Interrupted   130/143   a signal

Everything else that is raised is our own bug: a traceback and exit code 1.
"""

import signal
from typing import Any


class _Unset:
    """Marks that no value was given; None is a value."""


UNSET = _Unset()


class PipelineError(Exception):
    """One line for the user: where, which field, which rule, which value, and what to do.

    Its text is `<where>: <field>: <rule>, got <value> (<remedy>)`; field, value and remedy may be
    absent.

    Args:
        where: The file, stage or address that is wrong, as the user would name it.
        rule: What must hold, or what happened.
        field: The key, column or tensor within `where`.
        got: The offending value; shown with `repr`.
        remedy: What the user can do about it.
    """

    exit_code = 1

    def __init__(
        self,
        where: object,
        rule: str,
        *,
        field: str | None = None,
        got: Any = UNSET,
        remedy: str | None = None,
    ) -> None:
        text = f"{where}: " + (f"{field}: " if field else "") + rule
        if not isinstance(got, _Unset):
            text += f", got {got!r}"
        if remedy:
            text += f" ({remedy})"
        super().__init__(" ".join(text.splitlines()))

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuild, (type(self), str(self), self.exit_code)


def _rebuild(kind: type[PipelineError], text: str, exit_code: int) -> PipelineError:
    """Rebuild an error that a worker process sent."""
    error = kind.__new__(kind)
    Exception.__init__(error, text)
    error.exit_code = exit_code
    return error


class ParamsError(PipelineError):
    """A value in params.yaml or on the command line cannot be used."""

    exit_code = 2


class DataError(PipelineError):
    """The data cannot be used as they are."""

    exit_code = 3


class MachineError(PipelineError):
    """The machine lacks something: disk, a lock, the network, a device."""

    exit_code = 4


class IntegrityError(PipelineError):
    """A file differs from what was recorded of it."""

    exit_code = 5


class TrackingError(PipelineError):
    """The tracking server could not be used, although `tracking.required` is true."""

    exit_code = 6


class Interrupted(PipelineError):
    """A signal asked the stage to stop; what was finished is kept."""

    def __init__(self, stage: str, signum: int, *, remedy: str | None = None) -> None:
        super().__init__(stage, f"stopped by {signal.Signals(signum).name}", remedy=remedy)
        self.exit_code = 128 + signum


def again(text: str, exit_code: int) -> PipelineError:
    """Return an error that another process reported."""
    kinds = (ParamsError, DataError, MachineError, IntegrityError, TrackingError)
    kind = next((each for each in kinds if each.exit_code == exit_code), PipelineError)
    return _rebuild(kind, text, exit_code)
