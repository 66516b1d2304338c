"""A machine shows its bits by a short training; wrong params are told in their turn."""

from dataclasses import replace

import pytest

from pipeline.compute.params import RuntimeParams
from pipeline.ground.errors import MachineError
from pipeline.train.far import Fits, _bits
from tests.support.trainable import SECTIONS, cpu, make_sources, plan


@pytest.fixture(scope="module")
def fits(tmp_path_factory):
    sources = make_sources(tmp_path_factory.mktemp("far") / "s")
    return Fits(sources, plan(), RuntimeParams(**SECTIONS["runtime"]))


def test_a_short_training_tells_the_bits(fits):
    first = _bits(fits, cpu().fingerprint(), None)
    other = _bits(replace(fits, plan=plan(seed=2)), cpu().fingerprint(), None)
    assert first == _bits(fits, cpu().fingerprint(), None) != other


def test_a_machine_of_another_fingerprint_has_none(fits):
    with pytest.raises(MachineError, match=r"computes with \{'threads': 1\}, and the first"):
        _bits(fits, cpu().fingerprint() | {"threads": 2}, None)


def test_params_that_do_not_fit_are_the_same_everywhere(fits):
    wrong = replace(fits, plan=plan(loss={"name": "mse"}))
    found = _bits(wrong, cpu().fingerprint(), None)
    assert found == _bits(wrong, cpu().fingerprint(), None) != _bits(fits, cpu().fingerprint(), 0)
