"""The program that goes with an export is clean code, and reads pictures as the project does."""

import io
import subprocess
import sys
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
from PIL import Image

from pipeline.export.program import use_onnx, use_pt2
from pipeline.picture.export.build import Classifier
from pipeline.picture.export.usage import program, use_pickle, use_safetensors, use_state_dict
from pipeline.picture.export.usage_text import READ
from pipeline.picture.read.decode import decode
from tests.support.exports import make_bundle
from tests.support.marked import exif_segment, full_tags, in_jpeg
from tests.unit.picture.read.test_decode import tiff_12_bit, wide_gamut_profile

TIMM = Classifier(None, {"num_classes": 2, "global_pool": "avg", "fc_norm": False})
POOLED = Classifier(None, None)
PROGRAMS = {
    "onnx": lambda bundle: use_onnx("model.onnx", "pillow"),
    "pt2": lambda bundle: use_pt2("model.pt2", "pillow"),
    "safetensors": lambda bundle: use_safetensors("model.safetensors", POOLED, bundle),
    "state_dict": lambda bundle: use_state_dict("state_dict.pt", TIMM, bundle),
    "state_dict-pooled": lambda bundle: use_state_dict("state_dict.pt", POOLED, bundle),
    "pickle": lambda bundle: use_pickle("model.pickle", TIMM, bundle),
    "pickle-pooled": lambda bundle: use_pickle("model.pickle", POOLED, bundle),
}


@pytest.mark.parametrize("task", ["classification", "regression"])
@pytest.mark.parametrize("name", PROGRAMS)
def test_the_program_is_clean_code(tmp_path, name, task):
    bundle = make_bundle(task=task)
    if task == "classification":
        bundle = replace(bundle, classes=('say "a"', "back\\slash", "Ä/b", "tab\t"))
    script = tmp_path / "use.py"
    script.write_text(program(PROGRAMS[name](bundle), bundle), encoding="utf-8")
    rules = ["--select", "E,F,I,B,S102,PLE", "--ignore", "B905", "--line-length", "100"]
    command = [sys.executable, "-m", "ruff", "check", "--isolated", *rules, str(script)]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout
    constants = {}
    lines = [line for line in script.read_text().splitlines() if line.startswith("CLASSES = ")]
    for line in lines:
        exec(line, constants)
    assert constants.get("CLASSES", list(bundle.classes)) == list(bundle.classes)


def noise(*shape, dtype=np.uint8):
    return np.random.default_rng(5).integers(0, np.iinfo(dtype).max + 1, shape, dtype=dtype)


def encode(image, kind="PNG", **options):
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


def oriented():
    exif = Image.Exif()
    exif[0x0112] = 6
    return exif


def palette(*, transparent):
    image = Image.fromarray(noise(40, 60, 3)).quantize(16)
    return encode(image, transparency=3) if transparent else encode(image)


def turned_oddly(orientation):
    """Return a picture with a place of the wrong type in its EXIF."""
    return in_jpeg(encode(COLOR, "JPEG"), exif_segment(full_tags(orientation)))


COLOR, GRAY = Image.fromarray(noise(40, 60, 3)), Image.fromarray(noise(60, 40))
FILES = {
    "color": lambda: encode(COLOR),
    "jpeg": lambda: encode(COLOR, "JPEG"),
    "gray": lambda: encode(GRAY),
    "bits": lambda: encode(GRAY.convert("1")),
    "palette": lambda: palette(transparent=False),
    "palette with transparency": lambda: palette(transparent=True),
    "alpha": lambda: encode(Image.fromarray(noise(40, 60, 4))),
    "gray with alpha": lambda: encode(Image.fromarray(noise(40, 60, 4)).convert("LA")),
    "CMYK": lambda: encode(COLOR.convert("CMYK"), "JPEG"),
    "16 bits": lambda: encode(Image.fromarray(noise(40, 60, dtype=np.uint16))),
    "12 bits": lambda: tiff_12_bit([0, 4095, 2048, 16, 77, 1000]),
    "turned": lambda: encode(COLOR, "JPEG", exif=oriented()),
    **{f"turned {turn}": partial(turned_oddly, turn) for turn in range(2, 9)},
    "turned TIFF": lambda: encode(COLOR, "TIFF", exif=oriented()),
    "profile": lambda: encode(COLOR, icc_profile=wide_gamut_profile()),
    "profile and alpha": lambda: encode(
        Image.fromarray(noise(40, 60, 4)), icc_profile=wide_gamut_profile()
    ),
    "broken profile": lambda: encode(COLOR, icc_profile=b"no profile at all"),
    "animation": lambda: encode(COLOR, "GIF", save_all=True, append_images=[GRAY.convert("RGB")]),
}


@pytest.mark.parametrize("resize", ["squash", "crop", "center", "pad"])
@pytest.mark.parametrize("name", FILES)
def test_it_reads_pictures_to_the_same_bits(tmp_path, name, resize):
    bundle = make_bundle()
    spec = replace(bundle.decode, resize=resize, background=(10, 200, 30), size_px=24)
    use = replace(use_onnx("model.onnx", "pillow"), imports=(), load="")
    names = {"__file__": str(tmp_path / "use.py"), "__name__": "use"}
    text = program(use, replace(bundle, decode=spec))
    assert READ in text
    exec(compile(text, "use.py", "exec"), names)
    path = tmp_path / "picture"
    path.write_bytes(FILES[name]())
    got, wanted = names["read"](path), decode(path.read_bytes(), spec)
    assert got.dtype == wanted.dtype
    assert np.array_equal(got, wanted)
