"""Stage `transform`: decode every kept picture to one size.

Reads   --raw       the folder with the raw files
        --manifest  the rows to keep, with the hash of each file
Writes  --store     the tensor store: uint8 shards, index.parquet, store.json
        --key       what its pictures were made from, for the next build
"""

from pathlib import Path

from pipeline.compute.engine import MachineParams
from pipeline.ground.files import write_json
from pipeline.ground.stage import run_stage
from pipeline.manifest.manifest import kept, read_manifest
from pipeline.picture.shelf.params import TransformParams
from pipeline.picture.shelf.writer import made_from, write_store
from pipeline.store.previous_build import earlier_build


def main(
    transform: TransformParams,
    machine: MachineParams,
    *,
    raw: Path,
    manifest: Path,
    store: Path,
    key: Path,
) -> None:
    """Write the tensor store of the manifest's kept rows."""
    rows = kept(read_manifest(manifest))
    source = made_from(transform)
    with earlier_build(store, key=key, made_from=source) as old:
        write_store(store, rows, raw=raw, params=transform, machine=machine, old=old)
    write_json(key, source)


if __name__ == "__main__":
    raise SystemExit(run_stage(main))
