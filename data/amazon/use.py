"""Write into params.yaml that the demonstration data of texts are what the pipeline works on."""

import sys

from pipeline.ground.files import replacing
from pipeline.ground.params import replace_values
from pipeline.ground.stage import PARAMS

VALUES = {
    "data.path": "data/amazon/raw",
    "data.labels": "data/amazon/raw",
    "data.text": "sentence",
    "tracking.experiment": "amazon",
    "registry.name": "amazon",
}

if __name__ == "__main__":
    changed = replace_values(PARAMS.read_text(encoding="utf-8"), VALUES)
    with replacing(PARAMS) as scratch:
        scratch.write_text(changed, encoding="utf-8")
    told = ", ".join(f"{name}: {value}" for name, value in VALUES.items())
    sys.stdout.write(
        f"params.yaml: {told}\n(`git checkout params.yaml dvc.lock artifacts` undoes it)\n"
    )
