"""All checks, one after the other; none stops another."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from pipeline.compute.engine import MachineParams
from pipeline.compute.params import RuntimeParams
from pipeline.doctor.data_process import DataFindings, RawFolder
from pipeline.doctor.device import check_device, check_packages
from pipeline.doctor.disk import check_disk
from pipeline.doctor.params import Params, check_params
from pipeline.doctor.remote import check_remotes
from pipeline.doctor.repository import check_repository
from pipeline.doctor.repro_lock import check_locks
from pipeline.doctor.shapes import draw_outline
from pipeline.doctor.sharing import check_sharing
from pipeline.doctor.tracking import check_tracking
from pipeline.doctor.weights import check_weights
from pipeline.ground.errors import ParamsError
from pipeline.ground.findings import Finding, fault, gather, warn
from pipeline.ground.stage import PARAMS
from pipeline.modality.types.params import NormalizeSection, ShelfParams
from pipeline.model.params import FeaturesParams
from pipeline.raw.params import DataParams
from pipeline.track.connection import configure
from pipeline.track.params import TrackingParams
from pipeline.train.params import TrainParams
from pipeline.version.params import RegistryParams
from pipeline.weights.params import WeightsParams


@dataclass(frozen=True)
class Options:
    """What the command line asks for."""

    fix: bool = False
    """Mend what can be mended without a loss."""

    remote: bool = False
    """Write, read and delete a file on DVC's default remote."""


def examine(options: Options, data: DataFindings) -> Iterator[Finding]:
    """Look at everything in the present folder; a finding comes when its check is done.

    What needs a section of params.yaml that is wrong is passed over: its error is told already.
    """
    told: set[str] = set()
    for each in _examine(options, data):
        if each.line() not in told:
            told.add(each.line())
            yield each


def _examine(options: Options, data: DataFindings) -> Iterator[Finding]:
    configure()
    found, params = gather("params", check_params(PARAMS))
    yield from found
    is_right = all(each.level == "ok" for each in found)
    later = list(_examine_machine(params, options)) + list(
        _examine_sharing(options, is_right=is_right)
    )
    told, raw = data()
    yield from told
    if params is not None:
        yield from check_fit(params, raw)
        yield from _disk(params, raw)
    yield from later


def _examine_machine(params: Params | None, options: Options) -> Iterator[Finding]:
    """Look at what params.yaml asks of weights, device and tracking."""
    if params is None:
        return
    weights, transform = params.find(WeightsParams), params.find(ShelfParams)
    machine = params.find(MachineParams)
    runtime, train = params.find(RuntimeParams), params.find(TrainParams)
    tracking = params.find(TrackingParams)
    normalize = params.find(NormalizeSection)
    if weights and transform and normalize:
        yield from gather("weights", check_weights(weights, transform, normalize))[0]
    if runtime and train and machine:
        yield from gather("device", check_device(runtime, train, machine))[0]
    if tracking:
        yield from gather("tracking", check_tracking(tracking, fix=options.fix))[0]


def _examine_sharing(options: Options, *, is_right: bool) -> Iterator[Finding]:
    """Look at DVC, its remotes, git and the installed packages."""
    repository = check_repository(fix=options.fix, params_are_right=is_right)
    found, config = gather("dvc", repository)
    yield from found
    if config is not None:
        yield from gather("remote", check_remotes(config, try_default=options.remote))[0]
        has_remote = options.remote and config["core"].get("remote") is not None
        yield from gather("sharing", check_sharing(ask_remote=has_remote))[0]
    yield from gather("locks", check_locks())[0]
    yield from gather("packages", check_packages())[0]


def check_fit(params: Params, raw: RawFolder | None) -> Iterator[Finding]:
    """Check that a batch is no larger than train, and that the model's name is the data's own."""
    train, registry = params.find(TrainParams), params.find(RegistryParams)
    data = params.find(DataParams)
    n = raw.in_train if raw else None
    if train and n is not None and train.batch_size != "full" and train.batch_size > n:
        error = ParamsError(
            PARAMS,
            f"must be at most the items of train, about {n}",
            field="train.batch_size",
            got=train.batch_size,
            remedy="lower it, or set it to `full`",
        )
        yield replace(fault(error), check="data")
    if data and registry and _is_name_of_other_data(registry.name, Path(data.path)):
        told = warn(
            PARAMS,
            f"registry.name: {registry.name!r} is the name of other data; a "
            "champion is chosen among models by numbers on their own test items",
            "give these models a name of their own",
        )
        yield replace(told, check="data")


def _is_name_of_other_data(name: str, raw: Path) -> bool:
    """Check whether a name, or what stands before its first dash, is a folder of other data."""
    folders = (Path("data") / name, Path("data") / name.partition("-")[0])
    folder = next((each for each in folders if each.is_dir()), None)
    return folder is not None and not raw.is_relative_to(folder)


def _disk(params: Params, raw: RawFolder | None) -> list[Finding]:
    data, transform = params.find(DataParams), params.find(ShelfParams)
    features, weights = params.find(FeaturesParams), params.find(WeightsParams)
    if not (raw and data and transform and features and weights):
        return []
    try:
        outline = draw_outline(weights.architecture, features, transform)
    except ParamsError:  # told by the check of params.yaml
        return []
    checked = check_disk(
        Path(data.path),
        raw,
        outline,
        modality=params.modality,
        transform=transform,
        features=features,
    )
    return gather("disk", checked)[0]
