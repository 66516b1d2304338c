"""The registered model at the path where every version has it: an interface that stays.

MLflow executes a copy of this file when it loads a version; see docs/decisions/0022.
"""

from mlflow.models import set_model

from pipeline.version.served import ServedModel

set_model(ServedModel())
