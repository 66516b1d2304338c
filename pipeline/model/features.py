"""What stays frozen, as it was computed: pooled features, and activations of several views.

The result of the stage is a folder: the shards `pooled-00000.npy`, ..., float32 [rows, D], and
those of `activations`, with the rows of the store in their order and in its shards;
`index.parquet`, which says what item each row was computed from; and `features.json`, written
last. A folder without `features.json` holds no features. `extraction` makes it.

Axes: N = rows of the store, D = pooled features.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.ground.errors import IntegrityError, ParamsError
from pipeline.ground.files import read_json
from pipeline.model.activations import Activations, activations_layout
from pipeline.model.params import FeaturesParams
from pipeline.store.shards import Layout, Shards

FORMAT, VERSION = "rootstock-features", 3
INDEX, RECORD = "index.parquet", "features.json"

_REMEDY = "run `dvc checkout` or `dvc repro features`"


@dataclass(frozen=True)
class Features:
    """A folder of features, opened.

    Attributes:
        folder: Where it is.
        meta: `features.json`.
        pooled: float32 [N, D], on disk; None where they were not asked for.
        activations: Those at the cut; None where they were not asked for.
    """

    folder: Path
    meta: dict[str, Any]
    pooled: Shards | None
    activations: Activations | None

    @classmethod
    def open(cls, folder: Path) -> "Features":
        """Open what `extract` or `write_empty` wrote; a shard is checked when it is first read.

        Raises:
            DataError: There are no features.
            IntegrityError: They are damaged.
        """
        where = folder / RECORD
        meta = read_json(where)
        try:
            if (meta["format"], meta["version"]) != (FORMAT, VERSION):
                raise ValueError(f"its format is {meta['format']!r}, version {meta['version']!r}")
            pooled = activations = None
            if found := meta["pooled"]:
                pooled = Shards.open(folder, _pooled_layout(int(found["dim"])), found["files"])
            if found := meta["activations"]:
                shape = tuple(int(each) for each in found["shape"])
                layout = activations_layout(int(found["views"]), shape, remedy=_REMEDY)
                activations = Activations(Shards.open(folder, layout, found["files"]))
        except (KeyError, TypeError, ValueError) as error:
            raise IntegrityError(
                where, f"is no features record: {error}", remedy=_REMEDY
            ) from error
        return cls(folder, meta, pooled, activations)

    @property
    def cut(self) -> str | None:
        """Name of the lowest step above the cut."""
        return None if self.activations is None else str(self.meta["cut"])

    def require_pooled(self, *, by: str = "train.strategy: head") -> Shards:
        """Return the pooled features.

        Args:
            by: The param that needs them, for the error.

        Raises:
            ParamsError: They were not computed.
        """
        if self.pooled is None:
            raise ParamsError(
                "params.yaml",
                f"{by} needs pooled features",
                field="features.pooled",
                got=False,
                remedy="set features.pooled: true, or train.strategy: full",
            )
        return self.pooled

    def require_activations(self) -> Activations:
        """Return the activations.

        Raises:
            ParamsError: They were not computed.
        """
        if self.activations is None:
            raise ParamsError(
                "params.yaml",
                "train.strategy: top needs the activations at a cut",
                field="features.cut",
                got="none",
                remedy="name a cut in features.cut, or set train.strategy: head or full",
            )
        return self.activations


def features_bytes(
    rows: int, params: FeaturesParams, dim: int, shape: tuple[int, ...] | None
) -> int:
    """Return the bytes that features take.

    Args:
        rows: Items.
        params: What is computed of them.
        dim: Pooled features.
        shape: Of an item's activations at the cut; None where none are asked for.
    """
    return rows * sum(layout.row_bytes for layout in feature_layouts(params, dim, shape))


def feature_layouts(
    params: FeaturesParams, dim: int, shape: tuple[int, ...] | None
) -> list[Layout]:
    """Describe the arrays that are asked for: pooled features, then activations.

    Args:
        params: What is computed.
        dim: Pooled features.
        shape: Of an item's activations at the cut; None where none are asked for.
    """
    layouts = [_pooled_layout(dim)] if params.pooled else []
    if shape is not None:
        layouts.append(activations_layout(params.views, shape, remedy=_REMEDY))
    return layouts


def _pooled_layout(dim: int) -> Layout:
    return Layout("pooled", (dim,), np.dtype(np.float32), _REMEDY)
