"""Random streams are named, independent, and the same on every machine."""

import pytest

from pipeline.compute.device import torch_generator
from pipeline.ground.seeds import derive, numpy_generator


def test_known_answer():
    # printf '1\x1fsplit' | sha256sum: the first 16 hex digits as a number, halved
    assert derive(1, "split") == 264378535903462345


def test_names_are_not_concatenated():
    assert len({derive(1, "a", "bc"), derive(1, "ab", "c"), derive(1, "abc"), derive(11, "a")}) == 4


@pytest.mark.parametrize("seed", [0, 1, 2**63 - 1])
def test_range(seed):
    values = [derive(seed, "x", i) for i in range(1000)]
    assert all(0 <= value < 2**63 for value in values)
    assert len(set(values)) == 1000


def test_generators_repeat():
    assert numpy_generator(1, "a").integers(1 << 30) == numpy_generator(1, "a").integers(1 << 30)
    one, two = (torch_generator("cpu", 1, "a").initial_seed() for _ in range(2))
    assert one == two == derive(1, "a")
