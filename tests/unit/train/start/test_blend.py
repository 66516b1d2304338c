"""Between two states of a model, the one that validation likes best."""

import pytest
import torch

from pipeline.train.start.blend import SHARES, Candidate, choose, mix


def test_the_mean_of_two_states_keeps_counters():
    start = {"w": torch.tensor([0.0, 2.0]), "n": torch.tensor(3)}
    trained = {"w": torch.tensor([1.0, 4.0]), "n": torch.tensor(7)}
    assert torch.equal(mix(start, trained, 0.25)["w"], torch.tensor([0.25, 2.5]))
    assert int(mix(start, trained, 0.25)["n"]) == 7
    for share, wanted in ((0.0, start), (1.0, trained)):
        assert torch.equal(mix(start, trained, share)["w"], wanted["w"])


@pytest.mark.parametrize(
    ("losses", "wanted"),
    [
        ((0.5, 0.4, 0.3, 0.35, 0.6), (3, 0.5)),
        ((0.5, 0.5, 0.5, 0.5, 0.5), (3, 0.0)),
        ((0.8, 0.7, 0.7, 0.9, 0.9), (3, 0.25)),
    ],
)
def test_the_lowest_loss_is_taken_and_of_equal_ones_the_nearest_to_the_start(losses, wanted):
    tried = [Candidate(3, share, loss, {}) for share, loss in zip(SHARES, losses, strict=True)]
    found = choose(tried)
    assert (found.epoch, found.share) == wanted
    assert choose([Candidate(0, 0.0, 0.1, {}), *tried]).epoch == 0
