"""Rootstock: a transfer-learning pipeline from raw pictures to a registered model."""

import sys
from importlib.util import find_spec

# Plain `dvc repro` runs whatever `python` is first on the PATH; see docs/decisions/0004.
if find_spec("pydantic") is None:
    sys.stderr.write(
        f"error: {sys.executable}: this Python lacks the project's packages, pydantic first "
        "(run `make install`, then `. .venv/bin/activate`, or run `make repro`)\n"
    )
    raise SystemExit(4)
