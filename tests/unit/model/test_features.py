"""Features are computed once, for every row, whole or not at all, in the same bytes."""

import json
import logging
import math
import shutil
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from pipeline.compute.device import Runtime
from pipeline.compute.engine import MachineParams
from pipeline.ground.errors import DataError, IntegrityError, MachineError, ParamsError
from pipeline.ground.files import sha256_file, sha256_json
from pipeline.ground.params import load_section
from pipeline.ground.seeds import derive
from pipeline.ground.tables import read_table, write_table
from pipeline.model import extraction as module
from pipeline.model.extraction import Extraction, extract, made_from, write_empty
from pipeline.model.features import Features
from pipeline.model.network import Trunk
from pipeline.model.params import FeaturesParams
from pipeline.picture.net.augment import augment_batch, spread_orientations
from pipeline.picture.net.backbones import build_backbone
from pipeline.picture.net.net import NET
from pipeline.picture.net.params import AugmentParams
from pipeline.picture.read.spec import DecodeSpec
from pipeline.picture.shelf.normalization import Normalization
from pipeline.picture.shelf.params import TransformParams
from pipeline.store import shard_writer
from pipeline.store.store import Store
from pipeline.store.unfinished import Builds, earlier_builds
from pipeline.store.writer import write_store
from tests.support.closure import closure
from tests.support.encoding import encoding

ROWS = 7
QUIET = MachineParams.alone(workers=1, progress="none")
PARAMS = FeaturesParams(pooled=True, cut="none", views=1, pooling="mean+max", batch_size=4, seed=1)
AUGMENT = AugmentParams(
    hflip=0.5, vflip=0.5, transpose=0.5, crop_min_frac=0.8, brightness=0.1, contrast=0.1
)
TRANSFORM = TransformParams(
    size_px=40,
    resize="squash",
    interpolation="bilinear",
    background=(0, 0, 0),
    white16=65535,
    shard_rows=3,
)
CPU = Runtime(torch.device("cpu"), "fp32", threads=1)


@pytest.fixture(autouse=True)
def _one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    raw, generator = folder / "raw", np.random.default_rng(0)
    raw.mkdir()
    names = [f"{number}.png" for number in range(ROWS)]
    for name in names:
        pixels = generator.integers(0, 256, (40, 40, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(raw / name)
    rows = pd.DataFrame(
        {
            "path": names,
            "id": [sha256_file(raw / name) for name in names],
            "label": "a",
            "split": "train",
            "group": "",
            "weight": 1.0,
        }
    )
    write_store(folder / "store", rows, encoding(TRANSFORM), raw=raw, machine=QUIET)
    return Store.open(folder / "store")


def trunk(pooling="mean+max"):
    normalization = Normalization("pretrained", 1 / 255, (0.5,) * 3, (0.5,) * 3)
    return Trunk(build_backbone("test_efficientnet"), normalization=normalization, pooling=pooling)


def run(store, out, params=PARAMS, machine=QUIET, runtime=CPU, the_trunk=None, old=None):
    work = Extraction(store, the_trunk or trunk(), params, AUGMENT, runtime)
    extract(work, machine=machine, out=out, before=Builds(old))
    return Features.open(out)


def test_every_row_stands_where_the_store_has_it(store, tmp_path):
    features = run(store, tmp_path / "out")
    pooled = features.require_pooled().read(np.arange(ROWS))
    assert pooled.shape == (ROWS, 512)
    assert pooled.dtype == np.float32
    folded = trunk()
    folded.fold()
    for row in range(ROWS):
        image = torch.from_numpy(store.read(np.array([row])))
        with torch.inference_mode():
            assert np.allclose(pooled[row], folded.pooled(image)[0], rtol=1e-4, atol=1e-4)


def test_the_record_says_what_they_are(store, tmp_path):
    meta = run(store, tmp_path / "out").meta
    names = [f"pooled-{number:05d}.npy" for number in range(len(store.values.files))]
    files = [
        {"file": name, "rows": each["rows"], "sha256": sha256_file(tmp_path / "out" / name)}
        for name, each in zip(names, store.values.files, strict=True)
    ]
    assert len(files) > 1
    assert meta.pop("pooled") == {"dim": 512, "files": files}
    assert meta.pop("fingerprint") == CPU.fingerprint()
    assert meta == {
        "format": "rootstock-features",
        "version": 3,
        "cut": "none",
        "pooling": "mean+max",
        "architecture": "test_efficientnet",
        "batch_size": 4,
        "size_px": 40,
        "activations": None,
    }


def test_the_same_input_gives_the_same_bytes_whatever_machine_says(store, tmp_path):
    run(store, tmp_path / "one")
    run(store, tmp_path / "two", machine=MachineParams.alone(workers=2, progress="bar"))
    for path in (tmp_path / "one").iterdir():
        name = path.name
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()


def test_the_last_batch_is_filled_up_so_that_every_forward_has_one_shape(store, tmp_path):
    batches = []
    watched = trunk()
    watched.backbone.register_forward_pre_hook(
        lambda _module, inputs: batches.append(inputs[0].clone())
    )
    run(store, tmp_path / "out", the_trunk=watched)
    assert [tuple(each.shape) for each in batches] == [(4, 3, 40, 40)] * 2
    black = -1.0  # a byte of 0 under this normalization
    assert torch.equal(batches[1][3:], torch.full((1, 3, 40, 40), black))


def test_progress_is_told_line_by_line_without_a_terminal(store, tmp_path, caplog):
    with caplog.at_level(logging.INFO):
        run(store, tmp_path / "out", machine=MachineParams.alone(workers=1, progress="lines"))
    assert "features: 4 of 7 items" in caplog.text
    assert "features: 7 of 7 items" in caplog.text
    assert "features: 7 items in 1 views, " in caplog.text
    assert "views/s" in caplog.text


def test_features_that_are_not_finite_stop_the_stage_and_name_the_picture(store, tmp_path):
    broken = trunk()
    with torch.no_grad():
        broken.prepare.multiplier.fill_(torch.finfo(torch.float32).max)
    with pytest.raises(DataError) as caught:
        run(store, tmp_path / "out", the_trunk=broken)
    assert str(caught.value) == (
        "0.png: its features must be finite, and below 65504 at a cut, and the backbone gives "
        "others (see runtime.precision, weights.source and features.cut)"
    )
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_is_told_before_anything_is_computed(store, tmp_path, monkeypatch):
    usage = SimpleNamespace(free=10_000)
    monkeypatch.setattr(shard_writer.shutil, "disk_usage", lambda _: usage)
    monkeypatch.setattr(module, "compute_rows", None)
    with pytest.raises(MachineError) as caught:
        run(store, tmp_path / "out")
    text = str(caught.value)
    assert "needs 0 MB with DVC's copy, " in text
    assert text.endswith("MB are free (free space, lower features.views, or raise features.cut)")
    assert list(tmp_path.iterdir()) == []


def test_a_size_that_the_architecture_cannot_take_is_told(store, tmp_path):
    normalization = Normalization("pretrained", 1 / 255, (0.5,) * 3, (0.5,) * 3)
    vit = Trunk(build_backbone("test_vit"), normalization=normalization, pooling="mean")
    with pytest.raises(ParamsError, match=r"transform\.size_px: must be 160"):
        run(store, tmp_path / "out", the_trunk=vit)


def test_another_size_than_the_weights_were_trained_with_is_told():
    spec = DecodeSpec(160, "squash", "bilinear", (0, 0, 0))
    assert NET.doubt(spec, "test_efficientnet", input_size=(3, 160, 160)) is None
    doubt = NET.doubt(replace(spec, size_px=224), "test_efficientnet", input_size=(3, 160, 160))
    assert "pictures of 224 px, where test_efficientnet was trained with 160 px" in doubt.text


def test_rows_of_an_earlier_build_are_not_computed_and_the_bytes_are_the_same(store, tmp_path):
    """The earlier store lacks the rows 1 and 4, and has another order of batches."""
    rest = store.index.iloc[[0, 2, 3, 5, 6]].reset_index(drop=True)
    raw = store.folder.parent / "raw"
    write_store(tmp_path / "old-store", rest, encoding(TRANSFORM), raw=raw, machine=QUIET)
    run(Store.open(tmp_path / "old-store"), tmp_path / "old", params=CUT)
    run(store, tmp_path / "scratch", params=CUT)
    batches = []
    watched = trunk()
    watched.backbone.register_forward_pre_hook(lambda _module, inputs: batches.append(1))
    lower = watched.backbone.lower
    watched.backbone.lower = lambda *given: batches.append(given[0].shape) or lower(*given)
    run(store, tmp_path / "new", params=CUT, the_trunk=watched, old=tmp_path / "old")
    assert len(batches) == 1 + CUT.views, "the shape is asked for once; two rows make one batch"
    for path in (tmp_path / "scratch").iterdir():
        assert (tmp_path / "new" / path.name).read_bytes() == path.read_bytes(), path.name


def test_what_features_are_made_from_changes_with_all_that_they_depend_on(store, tmp_path):
    (tmp_path / "backbone").write_bytes(b"1")
    work = Extraction(store, trunk(), PARAMS, AUGMENT, CPU)

    def digest(**changes):
        return sha256_json(made_from(replace(work, **changes), backbone=tmp_path / "backbone"))

    values = {
        digest(),
        digest(params=CUT),
        digest(augment=AUGMENT.model_copy(update={"hflip": 0.4})),
        digest(runtime=replace(CPU, threads=2)),
        digest(
            trunk=Trunk(
                build_backbone("test_efficientnet"),
                pooling="mean+max",
                normalization=Normalization("minmax", 1 / 255, (0.0,) * 3, (1.0,) * 3),
            )
        ),
    }
    (tmp_path / "backbone").write_bytes(b"2")
    assert len(values | {digest()}) == 6


COMPUTING = {
    "ground.seeds",
    "modality.types.backbone",
    "model.activations",
    "model.extraction",
    "model.network",
    "picture.net.augment",
    "picture.net.backbones",
    "picture.net.cpu.folding",
    "picture.net.cpu.fusing",
    "picture.net.cpu.padding",
    "picture.net.cuts",
    "picture.net.preparation",
    "picture.shelf.normalization",
}
OTHERS = {
    "model.features",
    "model.head",
    "model.params",
    "picture.net.cpu.depthwise",
    "picture.net.net",
    "picture.net.params",
    "picture.net.sources",
    "picture.shelf.params",
    "picture.shelf.shelf",
}


def test_the_code_in_the_key_is_all_that_computes_a_row(store, tmp_path, monkeypatch):
    """Every module that extraction imports is in the key, or only moves, checks or tells."""
    found = []
    monkeypatch.setattr(module, "code_digest", lambda *modules, versions: found.extend(modules))
    (tmp_path / "backbone").write_bytes(b"1")
    made_from(Extraction(store, trunk(), PARAMS, AUGMENT, CPU), backbone=tmp_path / "backbone")
    computing = {each.__name__.removeprefix("pipeline.") for each in found}
    assert computing == COMPUTING
    imported = {
        path.removeprefix("pipeline/").removesuffix(".py").replace("/", ".")
        for path in closure("pipeline.model.extraction")
    }
    rooms = ("ground.", "compute.", "modality.", "repo.", "store.", "picture.read.", "text.")
    others = {name for name in imported - computing if not name.startswith(rooms)}
    assert others == OTHERS


CUT = PARAMS.model_copy(update={"cut": "blocks.2", "views": 3})


def test_view_0_is_the_picture_as_it_is_and_the_others_are_augmented_by_seed_and_id(
    store, tmp_path
):
    features = run(store, tmp_path / "out", params=CUT)
    activations = features.require_activations()
    assert (activations.views, features.cut) == (3, "blocks.2")
    folded = trunk()
    folded.fold()
    rows = np.arange(ROWS)
    for view in range(3):
        images = torch.from_numpy(store.read(rows))
        if view:
            ids = store.index["id"]
            turns = [derive(1, "orientation", each) for each in ids]
            codes = spread_orientations(AUGMENT, turns, view=view, views=3)
            seeds = [derive(1, "view", view, each) for each in ids]
            images = augment_batch(images, AUGMENT, seeds, codes)
        with torch.inference_mode():
            wanted = folded.backbone.lower(folded.prepare(images), "blocks.2").numpy()
        got = activations.read(rows, np.full(ROWS, view))
        assert got.dtype == np.float16
        assert np.allclose(got, wanted, rtol=2e-3, atol=2e-3)
        assert not np.allclose(got, activations.read(rows, np.full(ROWS, (view + 1) % 3)), 0.1)


def test_pooled_features_are_the_same_with_and_without_a_cut(store, tmp_path):
    rows = np.arange(ROWS)
    with_cut = run(store, tmp_path / "a", params=CUT).require_pooled().read(rows)
    assert np.array_equal(with_cut, run(store, tmp_path / "b").require_pooled().read(rows))


def test_rows_and_views_are_read_in_any_order_across_shards(store, tmp_path):
    activations = run(store, tmp_path / "out", params=CUT).require_activations()
    assert sorted(path.name for path in (tmp_path / "out").glob("cut-*")) == [
        f"cut-{number:05d}.npy" for number in range(len(store.values.files))
    ]
    rows, views = np.array([6, 0, 3, 3]), np.array([2, 1, 0, 2])
    got = activations.read(rows, views)
    for each, row, view in zip(got, rows, views, strict=True):
        assert np.array_equal(each, activations.read(np.array([row]), np.array([view]))[0])


def test_activations_are_the_same_bytes_each_time(store, tmp_path):
    run(store, tmp_path / "one", params=CUT)
    run(store, tmp_path / "two", params=CUT, machine=MachineParams.alone(workers=2, progress="bar"))
    names = sorted(path.name for path in (tmp_path / "one").iterdir())
    assert len(names) == 2 * len(store.values.files) + 2
    for name in names:
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()


def relabel(folder):
    table = read_table(folder / "index.parquet").assign(label="b")
    write_table(folder / "index.parquet", table)


def flip_a_pixel(folder):
    flip_last_bit(folder / "shard-00000.npy")


def flip_last_bit(path):
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize(
    ("change", "name"), [(relabel, "index.parquet"), (flip_a_pixel, "shard-00000.npy")]
)
def test_nothing_is_computed_from_a_store_that_was_changed(store, tmp_path, change, name):
    folder = shutil.copytree(store.folder, tmp_path / "store")
    change(folder)
    with pytest.raises(IntegrityError, match=rf"{name}: its values were changed"):
        run(Store.open(folder), tmp_path / "out", params=CUT)
    assert not (tmp_path / "out").exists()


def test_changed_activations_are_found(store, tmp_path):
    features = run(store, tmp_path / "out", params=CUT)
    path = tmp_path / "out" / "cut-00000.npy"
    flip_last_bit(path)
    content = path.read_bytes()
    with pytest.raises(IntegrityError, match=r"cut-00000\.npy: its values were changed"):
        features.require_activations().read(np.array([0]), np.array([0]))
    path.write_bytes(content[:-8])
    with pytest.raises(IntegrityError, match="is truncated"):
        features.require_activations().read(np.array([0]), np.array([0]))


def test_what_float16_cannot_hold_is_refused_and_not_clipped(store, tmp_path):
    loud = trunk()
    with torch.no_grad():
        norms = [
            each
            for each in loud.backbone.model.blocks[1].modules()
            if isinstance(each, torch.nn.BatchNorm2d)
        ]
        norms[-1].bias.fill_(70_000.0)
    with pytest.raises(DataError, match=r"0\.png: its features must be finite, and below 65504"):
        run(store, tmp_path / "out", params=CUT, the_trunk=loud)


def test_a_strategy_without_its_activations_names_both_params(store, tmp_path):
    with pytest.raises(ParamsError) as caught:
        run(store, tmp_path / "out").require_activations()
    assert str(caught.value) == (
        "params.yaml: features.cut: train.strategy: top needs the activations at a cut, got 'none' "
        "(name a cut in features.cut, or set train.strategy: head or full)"
    )


def test_views_need_a_cut():
    raw = {"features": PARAMS.model_dump() | {"views": 2}}
    with pytest.raises(ParamsError, match="views must be 1 with cut: none, got 2"):
        load_section(raw, "features", FeaturesParams, path="params.yaml")
    raw = {"features": PARAMS.model_dump() | {"views": 0}}
    with pytest.raises(ParamsError, match=r"features\.views: must be greater than or equal to 1"):
        load_section(raw, "features", FeaturesParams, path="params.yaml")


def test_none_are_written_where_none_are_asked_for(tmp_path):
    write_empty(PARAMS.model_copy(update={"pooled": False}), out=tmp_path / "out")
    features = Features.open(tmp_path / "out")
    assert features.pooled is None
    # training end to end needs these too
    assert (features.meta["pooling"], features.meta["batch_size"]) == ("mean+max", 4)
    with pytest.raises(ParamsError) as caught:
        features.require_pooled()
    assert str(caught.value) == (
        "params.yaml: features.pooled: train.strategy: head needs pooled features, got False "
        "(set features.pooled: true, or train.strategy: full)"
    )


def damage_record(folder):
    (folder / "features.json").write_text("{}")


def damage_version(folder):
    path = folder / "features.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"version": 1}))


def cut_values(folder):
    path = folder / "pooled-00000.npy"
    path.write_bytes(path.read_bytes()[:-100])


def drop_rows(folder):
    np.save(folder / "pooled-00000.npy", np.zeros((3, 511), np.float32))


def lose_values(folder):
    (folder / "pooled-00000.npy").unlink()


def flip_a_bit(folder):
    flip_last_bit(folder / "pooled-00000.npy")


@pytest.mark.parametrize(
    ("damage", "text"),
    [
        (damage_record, "is no features record: 'format'"),
        (damage_version, "is no features record: its format is 'rootstock-features', version 1"),
        (cut_values, "is truncated"),
        (drop_rows, r"does not hold float32 of shape"),
        (lose_values, r"pooled-00000\.npy: no such file"),
        (flip_a_bit, "its values were changed"),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_damage_is_told(store, tmp_path, damage, text):
    run(store, tmp_path / "out")
    damage(tmp_path / "out")
    with pytest.raises(IntegrityError, match=text):
        Features.open(tmp_path / "out").require_pooled().read(np.arange(ROWS))


def test_a_folder_without_a_record_holds_no_features(tmp_path):
    with pytest.raises(DataError, match="no such file"):
        Features.open(tmp_path)


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"views": 65}, "features.views: must be less than or equal to 64, got 65"),
        ({"pooling": "avg"}, "features.pooling: must be 'mean', 'max' or 'mean+max', got 'avg'"),
        ({"batch_size": 0}, "features.batch_size: must be greater than or equal to 1, got 0"),
        ({"pooled": "yes"}, "features.pooled: must be a valid boolean, got 'yes'"),
    ],
    ids=["views", "pooling", "batch_size", "pooled"],
)
def test_wrong_params_are_told(change, text, tmp_path):
    raw = {"features": PARAMS.model_dump() | change}
    with pytest.raises(ParamsError) as caught:
        load_section(raw, "features", FeaturesParams, path=tmp_path / "params.yaml")
    assert text in str(caught.value)


def test_features_go_on_from_the_shards_that_were_finished(store, tmp_path, monkeypatch):
    """One shard of the store is damaged while they are computed, and restored."""
    monkeypatch.chdir(tmp_path)
    run(store, tmp_path / "scratch", params=CUT)
    last = store.folder / store.values.files[-1]["file"]
    content = last.read_bytes()

    def build(the_trunk):
        with earlier_builds(Path("out"), key=Path("key.json"), made_from="as ever") as before:
            work = Extraction(Store.open(store.folder), the_trunk, CUT, AUGMENT, CPU)
            extract(work, machine=QUIET, out=Path("out"), before=before)

    last.write_bytes(content[:-1] + b"?")
    with pytest.raises(IntegrityError):
        build(trunk())
    last.write_bytes(content)
    watched, computed = trunk(), []
    lower = watched.backbone.lower
    watched.backbone.lower = lambda *given: computed.append(1) or lower(*given)
    build(watched)
    assert 0 < len(computed) < 1 + CUT.views * math.ceil(ROWS / CUT.batch_size)
    for path in (tmp_path / "scratch").iterdir():
        assert (tmp_path / "out" / path.name).read_bytes() == path.read_bytes(), path.name
