"""Stage `features`: the outputs of the frozen backbone for every item, computed once.

Reads   --store          the tensor store
        --normalization  how rows become inputs
        --backbone       the backbone's tensors
        --record         the backbone's record
Writes  --out            pooled features and activations at a cut; empty if not asked for
        --key            what they were made from, for the next build
"""

import logging
from pathlib import Path

from pipeline.compute.engine import MachineParams
from pipeline.compute.params import RuntimeParams
from pipeline.ground.files import write_json
from pipeline.ground.params import Unchecked
from pipeline.ground.stage import run_stage
from pipeline.modality.nets import net
from pipeline.model.extraction import extract, made_from, write_empty
from pipeline.model.extraction_runs import Sources, far_maker
from pipeline.model.params import FeaturesParams
from pipeline.store.store import Store
from pipeline.store.unfinished import earlier_builds
from pipeline.weights.weights import BackboneRecord

log = logging.getLogger(__name__)


def main(
    features: FeaturesParams,
    augment: Unchecked,
    runtime: RuntimeParams,
    machine: MachineParams,
    *,
    store: Path,
    normalization: Path,
    backbone: Path,
    record: Path,
    out: Path,
    key: Path,
) -> None:
    """Write the features."""
    if features.is_empty:
        write_empty(features, out=out)
        write_json(key, {})
        return
    own = net(Store.open(store).modality)
    sources = Sources(
        store, normalization, backbone, record, features, augment.check(own.params), runtime
    )
    work = sources.open()
    facts = BackboneRecord.load(record)
    if doubt := own.doubt(
        work.store.spec, facts.architecture, input_size=facts.expected.input_size
    ):
        log.warning("features: %s (%s)", doubt.text, doubt.remedy)
    far = far_maker(sources, work, machine) if machine.engine == "ray" else None
    source = made_from(work, backbone=backbone)
    with earlier_builds(out, key=key, made_from=source) as before:
        extract(work, machine=machine, out=out, before=before, far=far)
    write_json(key, source)


if __name__ == "__main__":
    raise SystemExit(run_stage(main, settled=True))
