"""Runs of shards hold the bytes of one extraction, whichever process makes them."""

import pytest

from pipeline.compute.engine import MachineParams
from pipeline.compute.params import RuntimeParams
from pipeline.ground.errors import MachineError
from pipeline.model import extraction_runs as module
from pipeline.model.extraction import extract
from pipeline.model.extraction_runs import Run, Sources, far_maker, first_batch_digest
from pipeline.model.params import FeaturesParams
from pipeline.picture.net.params import AugmentParams
from tests.support.trainable import SECTIONS, make_sources


def contents(folder):
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    return make_sources(tmp_path_factory.mktemp("made"), items=60, cut="-1", views=2)


@pytest.fixture(scope="module")
def sources(made):
    return Sources(
        made.store,
        made.normalization,
        made.backbone,
        made.record,
        FeaturesParams(pooled=True, cut="-1", views=2, pooling="mean+max", batch_size=16, seed=1),
        AugmentParams.model_validate(SECTIONS["augment"]),
        RuntimeParams.model_validate(SECTIONS["runtime"]),
    )


@pytest.mark.parametrize("rows", [1, 40, 512])
def test_runs_of_any_length_give_the_bytes_of_one_extraction(
    made, sources, rows, tmp_path, monkeypatch
):
    monkeypatch.setattr(module, "_ROWS", rows)
    machine = MachineParams.alone(workers=1, progress="none")
    work = sources.open()
    extract(work, machine=machine, out=tmp_path / "out", far=far_maker(sources, work, machine))
    assert contents(tmp_path / "out") == contents(made.features)


def test_the_canary_is_the_first_batch_and_tells_another_kind_of_machine(sources):
    work = sources.open()
    first, second = (
        Run(((number, (None,) * work.store.values.files[number]["rows"]),)) for number in (0, 1)
    )
    own = work.runtime.fingerprint()
    digest = first_batch_digest(sources, own, first)
    assert digest == first_batch_digest(sources, own, first)
    assert digest != first_batch_digest(sources, own, second)
    with pytest.raises(MachineError, match=r"computes with \{'threads': 1\}"):
        first_batch_digest(sources, own | {"threads": 2}, first)
