"""Load a registered model far from the repository, and predict files with it.

`verify.py` copies this file and `isolation.py` out of the repository and runs it with `python -I`,
so that a model which needs anything but itself and the installed packages fails here, and not at a
user's. It imports nothing of `pipeline` but through the model.

    python -I fresh.py REQUEST ANSWER

REQUEST is JSON: `uri`, the model's; `folder`, an existing one to download it to; `repository`;
`paths`, of items; `batch`, how many are predicted at once; `alone`, how many of them are
predicted once more, each alone. ANSWER will be JSON: `rows`, a list of mappings as the model gives
them; `fingerprint`; `bytes`, the size of its weights; `latency_ms`, the median time of an item
alone, or null.
"""

import json
import runpy
import statistics
import sys
import time
from pathlib import Path
from typing import Any

_WEIGHTS = "model.safetensors"


def main(request: Path, answer: Path) -> None:
    """Answer a request.

    Raises:
        RuntimeError: The model runs code that is not its own.
    """
    asked: dict[str, Any] = json.loads(request.read_text(encoding="utf-8"))
    isolation = runpy.run_path(str(Path(__file__).with_name("isolation.py")))
    isolation["leave_repository"](Path(asked["repository"]))

    import mlflow.pyfunc
    import pandas as pd

    model = mlflow.pyfunc.load_model(asked["uri"], dst_path=asked["folder"])
    isolation["check_home"](Path(asked["folder"]))
    (column,) = model.metadata.get_input_schema().input_names()
    rows: list[dict[str, Any]] = []
    for start in range(0, len(asked["paths"]), asked["batch"]):
        paths = asked["paths"][start : start + asked["batch"]]
        table = pd.DataFrame({column: [Path(path).read_bytes() for path in paths]})
        answers = model.predict(table)
        rows += answers.astype(object).where(answers.notna(), None).to_dict("records")
    found = {
        "rows": rows,
        "fingerprint": model.unwrap_python_model().fingerprint(),
        "bytes": sum(path.stat().st_size for path in Path(asked["folder"]).rglob(_WEIGHTS)),
        "latency_ms": _latency_ms(model, column, asked["paths"][: asked["alone"]]),
    }
    answer.write_text(json.dumps(found), encoding="utf-8")


def _latency_ms(model: Any, column: str, paths: list[str]) -> float | None:
    """Time the prediction of items one by one; the model is warm by now."""
    import pandas as pd

    times = []
    for path in paths:
        table = pd.DataFrame({column: [Path(path).read_bytes()]})
        start = time.perf_counter()
        model.predict(table)
        times.append(1000.0 * (time.perf_counter() - start))
    return statistics.median(times) if times else None


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
