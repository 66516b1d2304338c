"""One thin script for each stage of dvc.yaml."""

import os

from pipeline.ground.processes import sharing_cores

os.environ.update(sharing_cores())  # before a stage imports torch; see docs/decisions/0031
