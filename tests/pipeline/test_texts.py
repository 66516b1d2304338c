"""A table of sentences goes through all stages, and a grown one gives what a new build gives."""

import csv
import shutil

import pytest
import torch
import yaml

from pipeline.ground.files import read_json
from pipeline.ground.tables import read_table
from pipeline.text.net.net import NET
from pipeline.weights.tensors import save_tensors
from tests.support.project import clone, commit, run, set_params
from tests.support.tinytext import ARCHITECTURE, made_texts, tokenizer_file

pytestmark = pytest.mark.slow

ITEMS = 150
HOSTILE = (
    ("", "good", "empty"),
    ("\u200b \t", "good", "unprintable"),
    ("NA", "good", None),
    ('line\nbreak, "quotes" and \u0085\u2028 marks \u200f 😀', "bad", None),
    ("love it " * 200, "good", None),
    ("the book is very fine twice", "good", "conflict"),
    ("The  BOOK is very fine twice", "bad", "conflict"),
)


def write_table(folder, count):
    """Write texts of a planted opinion, and hostile ones at the end."""
    raw = folder / "data/reviews/raw"
    raw.mkdir(parents=True, exist_ok=True)
    rows = [*zip(*made_texts(count), strict=True), *((text, label) for text, label, _ in HOSTILE)]
    with (raw / "reviews.csv").open("w", encoding="utf-8", newline="") as stream:
        csv.writer(stream).writerows([("review", "label"), *rows])
    run(folder, "dvc", "add", "--quiet", "data/reviews/raw")


def make(folder, *, count=ITEMS):
    """Make a clone whose params are those of a user with texts, and an encoder in weights/."""
    clone(folder)
    write_table(folder, count)
    weights = folder / "weights/tiny"
    weights.mkdir(parents=True)
    backbone = NET.build(ARCHITECTURE)
    state = backbone.model.state_dict()
    state["embeddings.word_embeddings.weight"] = torch.randn(
        state["embeddings.word_embeddings.weight"].shape, generator=torch.Generator().manual_seed(1)
    )
    state.pop("tokenizer.file")
    save_tensors(weights / "model.safetensors", state, {})
    (weights / "tokenizer.json").write_bytes(tokenizer_file())
    own = yaml.safe_load((folder / "params.yaml").read_text(encoding="utf-8"))["text"]
    own["weights"] |= {
        "source": "file:tiny/model.safetensors",
        "architecture": ARCHITECTURE,
        "sha256": None,
    }
    own["transform"] = {"max_tokens": 32, "shard_rows": 16}
    set_params(
        folder,
        data={"path": "data/reviews/raw", "labels": "data/reviews/raw", "text": "review"},
        text=own,
        evaluate={"bootstrap": 50},
        clean={"max_bad_frac": 0.05},
        runtime={"threads": 1},
        machine={"workers": 1, "progress": "none"},
        registry={"name": "reviews", "verify_items": 16},
    )
    commit(folder, "reviews")


def outs(folder):
    """Return the digests of what stages up to `features` wrote, without what was seen of files."""
    lock = yaml.safe_load((folder / "dvc.lock").read_text(encoding="utf-8"))["stages"]
    stages = ("clean", "weights", "recipe", "transform", "normalize", "features")
    return {each["path"]: each["md5"] for name in stages for each in lock[name]["outs"]}


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    folder = tmp_path_factory.mktemp("texts") / "project"
    make(folder)
    done = run(folder, "rootstock", "repro")
    (folder / "repro.log").write_text(done.stdout + done.stderr, encoding="utf-8")
    return folder


def test_each_row_of_the_table_has_a_row_with_its_reason(project):
    manifest = read_table(project / "artifacts/clean/manifest.parquet").set_index("path")
    assert len(manifest) == ITEMS + len(HOSTILE)
    for number, (_, _, reason) in enumerate(HOSTILE, start=ITEMS):
        found = manifest.loc[f"reviews.csv/review/{number:08}"]
        assert (found["reason"] if found["status"] != "kept" else None) == reason, number
    page = (project / "artifacts/clean/report.html").read_text(encoding="utf-8")
    assert "is very fine twice" in page


def test_it_ends_in_a_version_that_is_better_than_words_alone_are_told_to_be(project):
    metrics = read_json(project / "artifacts/evaluate/metrics.json")
    assert metrics["accuracy"] >= 0.8
    assert metrics["beside"]["name"] == "tfidf"
    assert set(metrics["beside"]["gain"]["accuracy"]) == {"value", "low", "high"}
    normalization = read_json(project / "artifacts/normalize/normalization.json")
    assert sum(each["cut_off"] for each in normalization["splits"].values()) >= 1
    assert read_json(project / ".rootstock/published.json")["version"] == "1"
    told = (project / "repro.log").read_text(encoding="utf-8")
    assert "predicts what was evaluated" in told
    assert "tfidf" in told


def test_a_grown_table_gives_the_bytes_of_a_new_build(project, tmp_path):
    write_table(project, ITEMS + 3)
    done = run(project, "dvc", "repro", "features")
    told = done.stdout + done.stderr
    assert "from the last build" in told
    make(tmp_path / "new", count=ITEMS + 3)
    run(tmp_path / "new", "dvc", "repro", "features")
    assert outs(project) == outs(tmp_path / "new")
    shutil.rmtree(tmp_path / "new")
