"""Every modality has all that its protocols name; params.yaml says which one it is written for."""

from pathlib import Path

import pytest

from pipeline.ground.params import read_params
from pipeline.modality import sections as module
from pipeline.modality.nets import Net, modality_for, net
from pipeline.modality.parts import has_part
from pipeline.modality.sections import modality_meant, sections
from pipeline.modality.table import MODALITIES
from pipeline.modality.types.params import AugmentSection, ShelfParams

COMMITTED = Path(__file__).parents[3] / "params.yaml"


@pytest.mark.parametrize("modality", MODALITIES)
def test_a_net_has_what_the_protocol_names(modality):
    names = {*Net.__annotations__, *(each for each in vars(Net) if not each.startswith("_"))}
    assert {each for each in names if not hasattr(net(modality), each)} == set()
    assert issubclass(net(modality).params, AugmentSection)
    assert net(modality).VIEWS[0] == 0


def test_an_architecture_that_nobody_knows_is_left_to_the_first_modality():
    assert modality_for("resnet18") == modality_for("no_such_net") == MODALITIES[0]


def test_params_are_of_the_modality_whose_keys_they_have(monkeypatch):
    class Sounds(ShelfParams):
        rate_hz: int

    others = {"transform": Sounds, "augment": AugmentSection}
    found = {"picture": sections("picture"), "sound": others}
    monkeypatch.setattr(module, "sections", found.__getitem__)
    monkeypatch.setattr(module.table, "MODALITIES", ("picture", "sound"))
    raw = read_params(COMMITTED)
    assert modality_meant(raw) == "picture"
    raw = {"transform": {"rate_hz": 8000, "shard_rows": 8}, "augment": {}}
    assert modality_meant(raw) == "sound"
    assert modality_meant({}) == "picture"


@pytest.mark.parametrize(
    ("module", "is_there"),
    [
        ("explain.poor", True),
        ("explain.no_such", False),
        ("no_such_room.poor", False),
        ("files", True),
        ("no_such", False),
    ],
    ids=["there", "its room alone", "not its room", "a file", "no such file"],
)
def test_a_part_may_be_absent_with_its_room_or_alone(module, is_there):
    assert has_part("picture", module) is is_there
