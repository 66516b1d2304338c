"""Cleaning tells of pictures that hold nothing: in the log, the report, and where it stops."""

import logging
import shutil

import numpy as np
import pytest
from PIL import Image

from pipeline.ground.errors import DataError
from tests.support.rawfolder import by_path, class_folders, clean_folder, save_picture


def one_color(value, noise=0, kind="RGB"):
    rng = np.random.default_rng(value)
    pixels = np.full((40, 40, 3), value) + rng.integers(0, noise + 1, (40, 40, 3))
    return Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).convert(kind)


FLAT = {
    "black": (one_color(0), "x.png", {}),
    "white": (one_color(255), "x.png", {}),
    "gray JPEG": (one_color(120), "x.jpg", {"quality": 60}),
    "nearly one color": (one_color(90, noise=8), "x.png", {}),
    "one bit": (one_color(0, kind="1"), "x.png", {}),
    "16 bits": (Image.fromarray(np.full((40, 40), 30_000, np.uint16)), "x.png", {}),
    "palette": (one_color(7).quantize(4), "x.gif", {}),
}


@pytest.mark.parametrize(("image", "name", "options"), FLAT.values(), ids=FLAT)
def test_a_picture_of_one_color_is_kept_and_told_of(tmp_path, caplog, image, name, options):
    class_folders(tmp_path)
    image.save(tmp_path / "cat" / name, **options)
    with caplog.at_level(logging.INFO, "pipeline"):
        cleaned = clean_folder(tmp_path)
    line = "constant: 1 items; all its pixels have one color, or nearly"
    assert by_path(cleaned)[f"cat/{name}"]["status"] == "kept"
    assert cleaned.report["notes"]["constant"] == {"n": 1, "first": f"cat/{name}"}
    assert [each.startswith(line) for each in cleaned.report["warnings"]] == [True]
    assert caplog.text.count(line) == 1


SPOT = one_color(0)
SPOT.putpixel((20, 20), (80, 80, 80))
VARIED = {
    "nine levels of noise": one_color(90, noise=9),
    "one spot": SPOT,
    "a gradient": Image.linear_gradient("L").resize((40, 40)),
}


@pytest.mark.parametrize("image", VARIED.values(), ids=VARIED)
def test_a_picture_that_shows_something_is_not_one_color(tmp_path, image):
    class_folders(tmp_path)
    image.save(tmp_path / "cat/x.png")
    assert "constant" not in clean_folder(tmp_path).report["notes"]


def test_dark_pictures_of_16_bits_are_told_of_by_clean_itself(tmp_path, caplog):
    class_folders(tmp_path)
    rng = np.random.default_rng(1)
    for number in range(12):
        gray = rng.integers(0, 4096, (20, 20), dtype=np.uint16)
        Image.fromarray(gray).save(tmp_path / f"cat/dark{number:02}.png")
    with caplog.at_level(logging.INFO, "pipeline"):
        cleaned = clean_folder(tmp_path)
    (line,) = cleaned.report["warnings"]
    assert line.startswith("gray16_dark: 12 items; 16-bit values that all lie below 16384")
    assert "`transform.white16`" in line
    assert line.endswith("first: 'cat/dark00.png'")
    assert line in caplog.text


def test_harmless_notes_are_in_the_log_too(tmp_path, caplog):
    class_folders(tmp_path)
    pages = [
        Image.fromarray(np.random.default_rng(n).integers(0, 255, (20, 20), np.uint8))
        for n in range(3)
    ]
    pages[0].save(tmp_path / "cat/pages.tif", save_all=True, append_images=pages[1:])
    with caplog.at_level(logging.INFO, "pipeline"):
        cleaned = clean_folder(tmp_path)
    assert (
        "animated: 1 items; the first of several frames or pages was taken; "
        "first: 'cat/pages.tif'" in caplog.text
    )
    assert cleaned.report["warnings"] == []


def copies(raw, *paths):
    first = save_picture(raw / paths[0], 4_000)
    for path in paths[1:]:
        shutil.copy(first, raw / path)


REPEATED = {
    "three under two labels": (["cat/a.png", "cat/b.png", "dog/a.png"], "3 times, under 2 labels"),
    "ten under one label": ([f"cat/x{n}.png" for n in range(10)], "10 times, under 1 label;"),
}


@pytest.mark.parametrize(("paths", "words"), REPEATED.values(), ids=REPEATED)
def test_the_same_picture_in_many_places_is_told_of(tmp_path, paths, words):
    class_folders(tmp_path)
    copies(tmp_path, *paths)
    (line,) = clean_folder(tmp_path).report["warnings"]
    assert line.startswith(f"the same item appears {words}")
    assert "placeholder" in line
    assert line.endswith(f"first: {paths[0]!r}")


USUAL = {
    "two under two labels": ["cat/a.png", "dog/a.png"],
    "nine under one label": [f"cat/x{n}.png" for n in range(9)],
}


@pytest.mark.parametrize("paths", USUAL.values(), ids=USUAL)
def test_a_few_copies_are_duplicates_like_any(tmp_path, paths):
    class_folders(tmp_path)
    copies(tmp_path, *paths)
    assert clean_folder(tmp_path).report["warnings"] == []


def test_of_many_repeated_pictures_the_most_frequent_are_told_of(tmp_path):
    class_folders(tmp_path)
    for number in range(7):
        paths = [f"{label}/same{number}{n}.png" for label in ("cat", "dog") for n in range(2)]
        first = save_picture(tmp_path / paths[0], 5_000 + number)
        for path in paths[1:]:
            shutil.copy(first, tmp_path / path)
    warnings = clean_folder(tmp_path).report["warnings"]
    assert len(warnings) == 6
    assert warnings[-1] == "2 more items appear so often"


def test_they_are_told_of_where_the_stage_stops(tmp_path, caplog):
    class_folders(tmp_path)
    copies(tmp_path, "cat/a.png", "cat/b.png", "dog/a.png", "dog/b.png")
    with pytest.raises(DataError, match="4 of 52 items are bad: conflict 4"):
        clean_folder(tmp_path, max_bad_frac=0.01)
    assert "the same item appears 4 times, under 2 labels" in caplog.text


def test_stacks_whose_first_pages_are_blank_are_told_of_where_the_stage_stops(tmp_path, caplog):
    class_folders(tmp_path)
    for number in range(6):
        page = Image.fromarray(np.random.default_rng(number).integers(0, 255, (20, 20), np.uint8))
        for label in ("cat", "dog"):
            Image.new("L", (20, 20)).save(
                tmp_path / f"{label}/stack{number}.tif", save_all=True, append_images=[page]
            )
    with pytest.raises(DataError, match="12 of 60 items are bad: conflict 12"):
        clean_folder(tmp_path, max_bad_frac=0.01)
    for line in ("animated: 12 items", "constant: 12 items", "appears 12 times, under 2 labels"):
        assert line in caplog.text
