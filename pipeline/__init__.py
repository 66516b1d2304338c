"""Rootstock: a transfer-learning pipeline from raw pictures or texts to a registered model."""

import sys
from importlib.util import find_spec

# Plain `dvc repro` runs whatever `python` is first on the PATH; see docs/decisions/0004.
# An environment made for DVC alone has some of the packages, so that one name is not enough.
_NEEDED = ("pydantic", "yaml", "numpy", "pandas", "pyarrow", "PIL", "torch", "mlflow")
_missing = next((name for name in _NEEDED if find_spec(name) is None), None)
if _missing:
    sys.stderr.write(
        f"error: {sys.executable}: this Python lacks the project's packages, {_missing} first "
        "(run `make install`, then `. .venv/bin/activate`, or run `make repro`)\n"
    )
    raise SystemExit(4)
