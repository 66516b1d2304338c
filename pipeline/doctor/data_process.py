"""The check of the data runs in a process of its own, beside all else that the doctor looks at.

It takes as long as the imports of what computes. So it is started first, and this module is light.
"""

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from pipeline.ground.findings import Finding
from pipeline.ground.processes import end_with_children


@dataclass(frozen=True)
class RawFolder:
    """What other checks want to know."""

    items: int
    files_bytes: int
    """Of all files in the folder."""

    in_train: int | None = None
    """Kept items of train; None where nobody looked."""


DataFindings = Callable[[], tuple[list[Finding], RawFolder | None]]
"""Waits for what the check of the data found."""


@contextmanager
def looking_at_data() -> Iterator[DataFindings]:
    """Check the data in another process; the function that is given waits for what it finds."""
    command = [sys.executable, "-m", "pipeline.doctor.data"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:

        def wait() -> tuple[list[Finding], RawFolder | None]:
            text, _ = process.communicate()
            if process.returncode != 0:
                raise RuntimeError("the check of the data has ended with an error")
            content = json.loads(text)
            raw = content["raw"]
            return [Finding(**each) for each in content["findings"]], raw and RawFolder(**raw)

        try:
            yield wait
        finally:
            end_with_children(process)
