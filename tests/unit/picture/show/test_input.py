"""Pictures as programs hand them to a model."""

import numpy as np
import pytest

from pipeline.modality.types.items import from_cell
from pipeline.picture.read.decode import open_picture
from pipeline.picture.show.input import INPUT
from tests.unit.picture.read.test_text_form import RAW, SPELLINGS


def test_the_samples_are_pictures_that_differ():
    shown = [
        open_picture(raw, background=(0, 0, 0), max_pixels=10**6, animated="reject")
        for raw in INPUT.samples(3)
    ]
    assert INPUT.samples(3) == INPUT.samples(3)
    assert len({each.pixel_hash for each in shown}) == 3
    assert all(np.std(each.pixels) > 60 and each.notes == () for each in shown)


@pytest.mark.parametrize("text", SPELLINGS.values(), ids=SPELLINGS)
def test_a_cell_holds_text_or_bytes_of_any_kind(text):
    assert from_cell(INPUT, np.str_(text)) == RAW
    if text.isascii():
        assert from_cell(INPUT, np.bytes_(text.encode())) == RAW
        assert from_cell(INPUT, memoryview(text.encode())) == RAW


@pytest.mark.parametrize("cell", [None, 1.5, ["x"]])
def test_other_cells_are_left_to_the_decoder(cell):
    assert from_cell(INPUT, cell) is cell
