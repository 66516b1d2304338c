"""Stage `transform`: encode every kept item as a row of one shape.

Reads   --raw       the folder with the raw files
        --manifest  the rows to keep, with the hash of each file
Writes  --store     the store: shards, index.parquet, store.json
        --key       what its rows were made from, for the next build
"""

from pathlib import Path

from pipeline.compute.engine import MachineParams
from pipeline.ground.files import write_json
from pipeline.ground.params import Unchecked
from pipeline.ground.stage import run_stage
from pipeline.manifest.manifest import read_kept
from pipeline.modality.facts import modality_of
from pipeline.modality.shelving import shelf
from pipeline.store.encoded_shard import Encoding
from pipeline.store.unfinished import earlier_builds
from pipeline.store.writer import made_from, write_store


def main(
    transform: Unchecked,
    machine: MachineParams,
    *,
    raw: Path,
    manifest: Path,
    store: Path,
    key: Path,
) -> None:
    """Write the store of the manifest's kept rows."""
    rows = read_kept(manifest)
    modality = modality_of(rows.columns)
    params = transform.check(shelf(modality).params)
    encoding = Encoding(modality, params.spec(), params.shard_rows)
    source = made_from(encoding)
    with earlier_builds(store, key=key, made_from=source) as before:
        write_store(store, rows, encoding, raw=raw, machine=machine, before=before)
    write_json(key, source)


if __name__ == "__main__":
    raise SystemExit(run_stage(main, settled=True))
