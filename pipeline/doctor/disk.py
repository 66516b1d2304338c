"""Is there room for what the stages will write, and for DVC's copy of it?"""

import shutil
from collections.abc import Generator
from pathlib import Path

from pipeline.doctor.data_process import RawFolder
from pipeline.doctor.preflight import dvc_file, graph_file
from pipeline.doctor.shapes import Outline
from pipeline.ground.errors import MachineError
from pipeline.ground.findings import Finding, ok
from pipeline.modality.encoding import encoder
from pipeline.modality.types.params import ShelfParams
from pipeline.model.features import features_bytes
from pipeline.model.params import FeaturesParams
from pipeline.store.shard_writer import COPIES
from pipeline.store.store import layout

_STORE = Path("artifacts/transform/store")
_FEATURES = Path("artifacts/features/cache")
_SLACK_BYTES = 500_000_000
"""For the backbone, the model, checkpoints and MLflow's copies of the model."""


def check_disk(
    raw: Path,
    found: RawFolder,
    outline: Outline,
    *,
    modality: str,
    transform: ShelfParams,
    features: FeaturesParams,
) -> Generator[Finding, None, None]:
    """Compare the free space with what a first run writes, less what lies there already.

    Raises:
        MachineError: There is too little.
    """
    store = found.items * layout(modality, transform.spec()).row_bytes
    cached = features_bytes(found.items, features, outline.pooled_dim, outline.shape)
    present = sum(map(_size, (_STORE, _FEATURES)))
    needed = max(0, COPIES * (store + cached) - present) + _SLACK_BYTES
    parts = f"store {_mb(store)}, features {_mb(cached)}, each twice"
    if not (dvc_file(raw) or graph_file(raw)):
        needed += found.files_bytes
        parts += f", `dvc add` {_mb(found.files_bytes)}"
    free = shutil.disk_usage(Path.cwd()).free
    if needed > free:
        raise MachineError(
            "free space",
            f"a run needs {_mb(needed)} ({parts}), and {_mb(free)} are free",
            remedy=f"free space, lower features.views, {encoder(modality).less_room}, or raise "
            "features.cut",
        )
    yield ok("free space", f"a run needs {_mb(needed)} ({parts}), {_mb(free)} are free")


def _size(folder: Path) -> int:
    return sum(each.lstat().st_size for each in folder.rglob("*") if each.is_file())


def _mb(size_bytes: int) -> str:
    return f"{size_bytes / 1e6:,.0f} MB"
