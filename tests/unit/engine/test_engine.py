"""An engine predicts as many pictures as come, and a picture that hangs costs its own row."""

import io
import subprocess
import sys
from contextlib import closing, suppress
from functools import partial

import numpy as np
import psutil
import pytest
from PIL import Image

from pipeline.engine.encoders import Encoders
from pipeline.engine.engine import Engine
from pipeline.ground.limits import ItemLimits
from pipeline.model.bundle import Predictor, save_model
from pipeline.model.engine import DecodeLimits
from pipeline.picture.show.input import INPUT
from tests.support.closure import ROOT
from tests.support.published import predict_bytes, small_bundle, small_network, write_pictures


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    return [path.read_bytes() for path in write_pictures(tmp_path_factory.mktemp("raw"), 10)]


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("engine")
    bundle = small_bundle("classification")
    save_model(folder / "model.safetensors", small_network(bundle, seed=1), bundle)
    bundle.save(folder / "bundle.json")
    return folder / "model.safetensors", folder / "bundle.json"


@pytest.fixture(scope="module")
def engine(made):
    with closing(Engine.load(*made, decoders=1)) as engine:
        yield engine


def test_rows_are_the_predictor_s_to_the_bit(engine, made, files):
    expected = predict_bytes(Predictor.load(*made), files).to_dict("records")
    assert engine.predict(files) == [row | {"error": None, "notes": []} for row in expected]
    assert engine.predict(files[:3]) == engine.predict(files)[:3]
    assert engine.predict([]) == []


def test_without_padding_batches_are_as_large_as_needed(engine, files, monkeypatch):
    seen = []
    forward = engine.predictor._forward
    monkeypatch.setattr(
        engine.predictor, "_forward", lambda x: (seen.append(len(x)), forward(x))[1]
    )
    engine.predict(files[:6], pad=False)
    engine.predict(files[:6])
    assert seen == [4, 2, 4, 4]


def test_a_stream_takes_few_pictures_ahead_and_can_be_left(engine, files):
    taken = []

    def many():
        for number in range(10_000):
            taken.append(number)
            yield files[number % 10]

    rows = engine.stream(many())
    first = [next(rows), next(rows)]
    assert [len(batch) for batch in first] == [4, 4]
    assert len(taken) < 100
    rows.close()
    assert [row for batch in first for row in batch] == engine.predict(files[:8])


def test_what_the_pictures_raise_is_raised_and_the_engine_goes_on(engine, files):
    def broken():
        yield from files[:5]
        raise OSError("the disk")

    with pytest.raises(OSError, match="the disk"):
        list(engine.stream(broken()))
    assert len(engine.predict(files)) == 10


def test_a_picture_that_takes_too_long_or_is_too_large_costs_its_row(made, files):
    stream = io.BytesIO()
    Image.fromarray(np.random.default_rng(1).integers(0, 256, (2000, 2000), np.uint8)).save(
        stream, "PNG"
    )
    spec = small_bundle("classification").decode
    limits = ItemLimits(bytes=1 << 30, seconds=0.004, memory=1 << 30)
    with closing(Encoders(partial(INPUT.encode, spec=spec), 1, limits)) as encoders:
        assert list(encoders.encode([stream.getvalue()])) == [
            "decoder_hung: no answer within 0.004 s"
        ]
    few = DecodeLimits(max_pixels=2999, seconds=60.0)
    with closing(Engine.load(*made, decoders=1, limits=few)) as engine:
        (row,) = engine.predict(files[:1])  # 60 x 50
        assert row["error"].startswith("too_large: 50 x 60 pixels, over 2999 (`clean.max_pixels`, ")


def test_rows_say_what_was_noted_of_their_pictures(engine, files):
    stream = io.BytesIO()
    pages = [Image.effect_noise((40, 40), 90) for _ in range(12)]
    pages[0].save(stream, "TIFF", save_all=True, append_images=pages[1:])
    rows = engine.predict([files[0], stream.getvalue(), b"no picture"])
    assert [row["notes"] for row in rows] == [
        [],
        ["animated: the first of 12 frames or pages was taken"],
        [],
    ]


def is_decoder(process):
    with suppress(psutil.Error):  # a zombie of another test has no command line
        return "spawn_main" in str(process.cmdline())
    return False


def test_its_decoders_end_with_it(made, files):
    before = set(psutil.Process().children(recursive=True))
    with closing(Engine.load(*made, decoders=2)) as engine:
        engine.predict(files)
        started = {each for each in psutil.Process().children() if is_decoder(each)}
        assert started - before
    assert not any(each.is_running() for each in started - before)


def test_it_says_that_it_explains_without_loading_what_draws(made):
    code = """if True:
        import sys
        from pathlib import Path
        from pipeline.engine.engine import Engine
        engine = Engine.load(Path(sys.argv[1]), Path(sys.argv[2]), decoders=1)
        assert engine.describe()["explains"]
        drawing = {"matplotlib", "pipeline.picture.explain.explain"} & set(sys.modules)
        engine.close()
        sys.exit(str(drawing) if drawing else 0)"""
    done = subprocess.run(
        [sys.executable, "-c", code, *map(str, made)], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
