"""What the network sees instead of bytes: fitted on train once, applied everywhere.

A channel's value x, 0..255, becomes `(x * scale - mean) / std` with `scale` = 1/255. The store
holds bytes, so 256 counts for each channel and split say all there is to say; everything here is
computed from those counts, exactly.

Axes: C = the channels red, green, blue; the 256 bins are the values of a byte.
"""

import logging
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from pipeline.ground.errors import DataError, IntegrityError
from pipeline.ground.files import read_json
from pipeline.picture.shelf.params import Mode

log = logging.getLogger(__name__)

Counts = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float32]

CHANNELS = ("red", "green", "blue")
SPLITS = ("train", "val", "test")
SCALE = 1 / 255


@dataclass(frozen=True)
class Normalization:
    """How bytes become numbers: `(x * scale - mean) / std`, for each channel."""

    mode: Mode
    scale: float
    mean: tuple[float, float, float]
    std: tuple[float, float, float]

    @property
    def multiplier(self) -> Floats:
        """What a byte is multiplied with, [C]."""
        return np.array([self.scale / each for each in self.std], dtype=np.float32)

    @property
    def offset(self) -> Floats:
        """What is added after that, [C]."""
        pairs = zip(self.mean, self.std, strict=True)
        return np.array([-mean / std for mean, std in pairs], dtype=np.float32)

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        return {**asdict(self), "mean": list(self.mean), "std": list(self.std)}

    @classmethod
    def from_dict(cls, value: Mapping[str, Any]) -> "Normalization":
        """Read what `to_dict` gave; further keys are passed over.

        Raises:
            KeyError, TypeError, ValueError: It is something else, or not finite, or `std` is 0.
        """
        if value["mode"] not in ("minmax", "pretrained", "dataset"):
            raise ValueError(f"unknown mode {value['mode']!r}")
        scale = float(value["scale"])
        mean, std = _triple(value["mean"]), _triple(value["std"])
        if not (math.isfinite(scale) and scale > 0 and min(std) > 0):
            raise ValueError("scale and std must be greater than 0")
        return cls(value["mode"], scale, mean, std)

    @classmethod
    def load(cls, path: Path) -> "Normalization":
        """Read a `normalization.json`.

        Raises:
            DataError: The file is missing.
            IntegrityError: It is none, or holds numbers that cannot be used.
        """
        try:
            return cls.from_dict(read_json(path))
        except (KeyError, TypeError, ValueError) as error:
            raise IntegrityError(
                path, f"is no normalization record: {error}", remedy="run `dvc repro normalize`"
            ) from error


def _triple(values: Any) -> tuple[float, float, float]:
    red, green, blue = (float(each) for each in values)
    if not all(map(math.isfinite, (red, green, blue))):
        raise ValueError(f"must be three finite numbers, got {values!r}")
    return red, green, blue


def fit(
    mode: Mode, train: Counts, *, pretrained: Normalization | None = None, where: Path
) -> Normalization:
    """Find mean and deviation of each channel from the train split alone.

    Args:
        mode: What is fitted.
        train: int64 [C, 256].
        pretrained: What the weights ask for; used by mode `pretrained` only.
        where: The store, for messages.

    Raises:
        DataError: Train has no pictures, or a channel is constant over it.
    """
    if not train.any():
        raise DataError(where, "the train split has no pictures", remedy="see params.yaml: split")
    for name, counts in zip(CHANNELS, train, strict=True):
        low, high = _range(counts)
        if low == high:
            raise DataError(
                where,
                f"the {name} channel must not be constant over the train split",
                got=low,
                remedy="look at the raw pictures: they carry no signal there",
            )
    if mode == "pretrained":
        if pretrained is None:
            raise ValueError("mode 'pretrained' needs what the weights ask for")
        return pretrained
    if mode == "minmax":
        ranges = [_range(counts) for counts in train]
        mean = [low * SCALE for low, _ in ranges]
        std = [(high - low) * SCALE for low, high in ranges]
    else:
        moments = [_moments(counts) for counts in train]
        mean, std = [m * SCALE for m, _ in moments], [s * SCALE for _, s in moments]
    return Normalization(mode, SCALE, _triple(mean), _triple(std))


def load_pretrained(record: Path) -> Normalization:
    """Read mean and deviation from a backbone's record, on the scale 0..1.

    Raises:
        DataError: The record is missing.
        IntegrityError: They are missing, not finite, or not on that scale.
    """
    content = read_json(record)
    mean = _read_triple(record, content, "mean")
    std = _read_triple(record, content, "std")
    for field, values, is_fine in (
        ("mean", mean, all(0 <= each <= 1 for each in mean)),
        ("std", std, all(0 < each <= 1 for each in std)),
    ):
        if not is_fine:
            raise IntegrityError(
                record,
                "must be on the scale 0..1 of a pixel (std over 0)",
                field=field,
                got=list(values),
                remedy="divide by 255 what is on the scale 0..255",
            )
    return Normalization("pretrained", SCALE, mean, std)


def _read_triple(record: Path, content: Any, field: str) -> tuple[float, float, float]:
    try:
        return _triple(content[field])
    except (KeyError, TypeError, ValueError) as error:
        got = content.get(field) if isinstance(content, dict) else content
        raise IntegrityError(
            record,
            "must be three finite numbers",
            field=field,
            got=got,
            remedy="run `dvc repro weights`",
        ) from error


def _range(counts: Counts) -> tuple[int, int]:
    present = np.flatnonzero(counts)
    return int(present[0]), int(present[-1])


def _moments(counts: Counts) -> tuple[float, float]:
    """Return mean and population deviation of bytes, each rounded once, from exact integers."""
    values = [(value, int(count)) for value, count in enumerate(counts) if count]
    total = sum(count for _, count in values)
    first = sum(value * count for value, count in values)
    second = sum(value * value * count for value, count in values)
    return first / total, math.sqrt((total * second - first * first) / (total * total))


def measure(
    counts: Mapping[str, Counts], normalization: Normalization, drift_warn: float
) -> dict[str, Any]:
    """Measure every split before and after, and how far it lies from train; warn where far.

    Values outside train's range are counted: they are neither clipped nor refused.

    Args:
        counts: For each split, int64 [C, 256]; `train` must have values.
        normalization: Applied for `after`, as the network applies it: in float32.
        drift_warn: See `NormalizeParams`.

    Returns:
        For JSON: for each split with pictures `before` (bytes) and `after` (what the network gets),
        each with min, max, mean and std by channel; for val and test also `below_train`,
        `above_train` (numbers of values) and `drift` (difference of means in train deviations).
    """
    after = normalized_levels(normalization)
    report: dict[str, Any] = {}
    for split, table in counts.items():
        if not table.any():
            report[split] = {"values_per_channel": 0}
            continue
        report[split] = {
            "values_per_channel": int(table[0].sum()),
            "before": _summarize(table, np.tile(np.arange(256.0), (len(CHANNELS), 1))),
            "after": _summarize(table, after.astype(np.float64)),
        }
        if split != "train":
            report[split] |= _compare(table, counts["train"])
            _warn(split, report[split]["drift"], drift_warn)
    return report


def normalized_levels(normalization: Normalization) -> Floats:
    """Return what each byte becomes: float32 [C, 256]."""
    levels = np.arange(256, dtype=np.float32)
    multiplier, offset = normalization.multiplier, normalization.offset
    return levels[np.newaxis] * multiplier[:, np.newaxis] + offset[:, np.newaxis]


def _summarize(table: Counts, levels: npt.NDArray[np.float64]) -> dict[str, list[float]]:
    columns = [_describe(counts, level) for counts, level in zip(table, levels, strict=True)]
    names = ("min", "max", "mean", "std")
    return {name: [column[at] for column in columns] for at, name in enumerate(names)}


def _describe(counts: Counts, levels: npt.NDArray[np.float64]) -> tuple[float, float, float, float]:
    low, high = _range(counts)
    total = int(counts.sum())
    pairs = [(float(level), int(count)) for level, count in zip(levels, counts, strict=True)]
    mean = math.fsum(level * count for level, count in pairs) / total
    variance = math.fsum((level - mean) ** 2 * count for level, count in pairs) / total
    return float(levels[low]), float(levels[high]), mean, math.sqrt(variance)


def _compare(table: Counts, train: Counts) -> dict[str, list[int] | list[float]]:
    ranges = [_range(counts) for counts in train]
    pairs = list(zip(table, ranges, strict=True))
    moments = [_moments(counts) for counts in train]
    return {
        "below_train": [int(counts[:low].sum()) for counts, (low, _) in pairs],
        "above_train": [int(counts[high + 1 :].sum()) for counts, (_, high) in pairs],
        "drift": [
            (_moments(counts)[0] - mean) / std
            for counts, (mean, std) in zip(table, moments, strict=True)
        ],
    }


def _warn(split: str, drift: list[float], drift_warn: float) -> None:
    for name, each in zip(CHANNELS, drift, strict=True):
        if abs(each) > drift_warn:
            log.warning(
                "normalize: the mean of %s in the %s channel lies %.2f deviations from train's "
                "(normalize.drift_warn is %g)",
                split,
                name,
                each,
                drift_warn,
            )
