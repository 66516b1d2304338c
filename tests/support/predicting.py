"""A tiny model at work, and predictions made with it in this process."""

from contextlib import closing, contextmanager

from pipeline.compute.engine import MachineParams
from pipeline.picture.read.decode import MAX_PIXELS
from pipeline.predict.inputs import find_inputs
from pipeline.predict.run import Options, predict_files
from pipeline.version.fetch import fetch_model
from pipeline.version.process.resident import Resident, ResidentOptions
from tests.support.published import RESULTS, Project, use_real_model


@contextmanager
def tiny_resident(folder, *, task="classification", items=8, max_pixels=MAX_PIXELS):
    """Make a model with its evaluated pictures in a folder, and start it by the present code."""
    project = use_real_model(Project(folder), task=task, items=items)
    model = fetch_model(str((project.folder / RESULTS.model).parent))
    options = ResidentOptions(decoders=1, most=max_pixels, seconds=20.0)
    with closing(Resident(model, options)) as resident:
        yield resident, project


def options(output, *, max_pixels=MAX_PIXELS, progress="none", engine="local"):
    return Options(
        output=output,
        overwrite=False,
        machine=MachineParams.alone(workers=1, progress=progress, engine=engine),
        device=None,
        most=max_pixels,
        seconds=20.0,
    )


def predict_to(output, resident, *given, **changed):
    """Predict what is given to a file; give the summary."""
    asked = options(output, **changed)
    return predict_files(resident, find_inputs([str(each) for each in given], but=output), asked)
