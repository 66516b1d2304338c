"""What the tests took, by file, as a table in docs/testing.md.

    python -m tests.support.times .pytest_cache/fast.xml .pytest_cache/slow.xml

pytest writes the XML files; a test counts with its fixtures.
"""

import os
import re
import sys
import xml.etree.ElementTree as ElementTree
from collections import defaultdict

import numpy as np

from tests.support.closure import ROOT

PAGE = ROOT / "docs/testing.md"
TABLE = re.compile(r"(?<=<!-- times -->\n).*(?=<!-- end -->)", re.DOTALL)
SHOWN_S = 2.0
"""Files that take less share one row."""


def read(paths):
    """Return by file the number of tests and the seconds of `make test` and of the slow ones."""
    files = defaultdict(lambda: [0, 0.0, 0.0])
    for column, path in enumerate(paths, 1):
        for case in ElementTree.parse(path).iter("testcase"):
            parts = case.get("classname").split(".")
            row = files["/".join(parts) + ".py"]
            row[0] += 1
            row[column] += float(case.get("time"))
    return files


def known():
    """Return by file the seconds of `make test` and of the slow ones, as the page has them."""
    rows = re.findall(r"^\| (\S+\.py) \| \d+ \| (\d+) \| (\d+) \|$", PAGE.read_text("utf-8"), re.M)
    return {name: (int(fast), int(slow)) for name, fast, slow in rows}


def table(files):
    """Return the rows, the longest first."""
    ordered = sorted(files.items(), key=lambda item: -sum(item[1][1:]))
    shown = [item for item in ordered if sum(item[1][1:]) >= SHOWN_S]
    rest = [row for _, row in ordered[len(shown) :]]
    shown.append((f"{len(rest)} files under {SHOWN_S:g} s", np.sum(rest, axis=0)))
    shown.append(("all", np.sum(list(files.values()), axis=0)))
    lines = [f"| {name} | {row[0]:.0f} | {row[1]:.0f} | {row[2]:.0f} |" for name, row in shown]
    head = ["| file | tests | `make test`, s | slow ones, s |", "|---|---|---|---|"]
    return "\n".join([*head, *lines, ""])


if __name__ == "__main__":
    text = PAGE.read_text(encoding="utf-8")
    new = f"{os.cpu_count()} cores, seconds of one worker.\n\n{table(read(sys.argv[1:]))}"
    PAGE.write_text(TABLE.sub(lambda _: new, text), encoding="utf-8")
