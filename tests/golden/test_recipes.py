"""One tiny run of each recipe gives the recorded numbers.

On the fingerprint that they were recorded with, to the bit; on another one within 1e-2, and the
test says which of the two it did. To record anew, after a change that is meant to change them:

    python -m tests.golden.test_recipes
"""

import dataclasses
import tempfile
from pathlib import Path

import pytest

from pipeline.ground.files import read_json, write_json
from pipeline.train.checkpoint import Checkpoints
from pipeline.train.inputs import open_parts
from pipeline.train.trainer import open_training
from tests.support.trainable import cpu, make_sources, plan

GOLDEN = Path(__file__).with_name("recipes.json")
RECIPES = {
    "head": {"train": {"mixup": 0.2, "ema": 0.5, "test_views": 2}},
    "top": {
        "train": {
            "strategy": "top",
            "start": "probe",
            "ema": 0.5,
            "mixup": 0.2,
            "unfreeze_epochs": 1,
        },
        "optim": {"lr": 0.001, "layer_decay": 0.7},
    },
    "full": {
        "train": {"strategy": "full", "mixup": 0.2, "cutmix": 1.0, "epochs": 3},
        "optim": {"lr": 0.001},
        "loss": {"label_smoothing": 0.1},
    },
}


def run(sources, name, folder) -> list[dict]:
    training = open_training(plan(**RECIPES[name]), open_parts(sources), cpu())
    reports = list(training.run(Checkpoints(folder, training.identity())))
    trained = training.finish()
    epochs = [dataclasses.asdict(report) for report in reports]
    outputs = trained.outputs(training.parts.store.rows("test"))
    return [*epochs, {"temperature": trained.temperature, "outputs": outputs.ravel().tolist()}]


@pytest.fixture(scope="module")
def sources(tmp_path_factory):
    return make_sources(tmp_path_factory.mktemp("golden") / "sources", cut="blocks.3", views=3)


@pytest.mark.parametrize("name", RECIPES)
def test_a_recipe_gives_the_recorded_numbers(name, sources, tmp_path, capsys):
    golden, found = read_json(GOLDEN), run(sources, name, tmp_path / "checkpoints")
    is_equal = golden["fingerprint"] == cpu().fingerprint()
    with capsys.disabled():
        print(f"\n{name}: compared", "to the bit" if is_equal else "within 1e-2, other fingerprint")
    if is_equal:
        assert found == golden["recipes"][name]
    for got, wanted in zip(found, golden["recipes"][name], strict=True):
        for key in set(wanted) - {"metrics"}:
            assert got[key] == pytest.approx(wanted[key], abs=1e-2), key


def test_the_recorded_runs_learned_something():
    for name, lines in read_json(GOLDEN)["recipes"].items():
        losses = [line["val_loss"] for line in lines[:-1]]
        is_probe = RECIPES[name]["train"].get("start") == "probe"  # the first epoch is good already
        assert (min(losses) if is_probe else losses[-1]) < losses[0], name


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as scratch:
        place = Path(scratch)
        made = make_sources(place / "sources", cut="blocks.3", views=3)
        recorded = {name: run(made, name, place / name) for name in RECIPES}
    write_json(GOLDEN, {"fingerprint": cpu().fingerprint(), "recipes": recorded})
