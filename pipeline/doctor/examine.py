"""All checks, one after the other; none stops another."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pipeline.data.clean import CleanParams
from pipeline.data.normalization import NormalizeParams
from pipeline.data.params import DataParams
from pipeline.data.split import SplitParams
from pipeline.data.store_writer import TransformParams
from pipeline.device import RuntimeParams
from pipeline.doctor.data import Expectations, RawFolder, check_data
from pipeline.doctor.device import check_device, check_packages
from pipeline.doctor.disk import check_disk
from pipeline.doctor.findings import Finding, gather
from pipeline.doctor.outline import draw_outline
from pipeline.doctor.params import Params, check_params
from pipeline.doctor.remote import check_remotes
from pipeline.doctor.repository import check_repository
from pipeline.doctor.sharing import check_sharing
from pipeline.doctor.tracking import check_tracking
from pipeline.doctor.weights import check_weights
from pipeline.errors import ParamsError
from pipeline.model.features import FeaturesParams
from pipeline.model.weights import WeightsParams
from pipeline.parallel import MachineParams
from pipeline.stage import PARAMS
from pipeline.track.registry import RegistryParams
from pipeline.track.tracking import TrackingParams, configure
from pipeline.train.loop import TrainParams


@dataclass(frozen=True)
class Options:
    """What the command line asks for."""

    fix: bool = False
    """Mend what can be mended without a loss."""

    remote: bool = False
    """Write, read and delete a file on DVC's default remote."""


def examine(options: Options) -> Iterator[Finding]:
    """Look at everything in the present folder; a finding comes when its check is done.

    What needs a section of params.yaml that is wrong is passed over: its error is told already.
    """
    told: set[str] = set()
    for each in _examine(options):
        if each.line() not in told:
            told.add(each.line())
            yield each


def _examine(options: Options) -> Iterator[Finding]:
    configure()
    found, params = gather("params", check_params(PARAMS))
    yield from found
    is_right = all(each.level == "ok" for each in found)
    if params is not None:
        yield from _examine_by(params, options)
    repository = check_repository(fix=options.fix, params_are_right=is_right)
    found, config = gather("dvc", repository)
    yield from found
    if config is not None:
        yield from gather("remote", check_remotes(config, try_default=options.remote))[0]
        has_remote = options.remote and config["core"].get("remote") is not None
        yield from gather("sharing", check_sharing(ask_remote=has_remote))[0]
    yield from gather("packages", check_packages())[0]


def _examine_by(params: Params, options: Options) -> Iterator[Finding]:
    """Look at what params.yaml points to."""
    found, raw = _data(params)
    yield from found
    yield from _disk(params, raw)
    weights, transform = params.find(WeightsParams), params.find(TransformParams)
    normalize, machine = params.find(NormalizeParams), params.find(MachineParams)
    runtime, train = params.find(RuntimeParams), params.find(TrainParams)
    tracking = params.find(TrackingParams)
    if weights and transform and normalize:
        yield from gather("weights", check_weights(weights, transform, normalize))[0]
    if runtime and train and machine:
        yield from gather("device", check_device(runtime, train, machine))[0]
    if tracking:
        yield from gather("tracking", check_tracking(tracking, fix=options.fix))[0]


def _data(params: Params) -> tuple[list[Finding], RawFolder | None]:
    data, clean, split = params.find(DataParams), params.find(CleanParams), params.find(SplitParams)
    train, machine = params.find(TrainParams), params.find(MachineParams)
    registry = params.find(RegistryParams)
    if params.task and data and clean and split and train and machine and registry:
        wanted = Expectations(params.task, data, clean, split, train, machine, registry)
        return gather("data", check_data(wanted))
    return [], None


def _disk(params: Params, raw: RawFolder | None) -> list[Finding]:
    data, transform = params.find(DataParams), params.find(TransformParams)
    features, weights = params.find(FeaturesParams), params.find(WeightsParams)
    if not (raw and data and transform and features and weights):
        return []
    try:
        outline = draw_outline(weights.architecture, features, transform)
    except ParamsError:  # told by the check of params.yaml
        return []
    checked = check_disk(Path(data.path), raw, outline, transform=transform, features=features)
    return gather("disk", checked)[0]
