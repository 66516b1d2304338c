"""Paths that name no file as written: one reading for all of them, or none and a word on it."""

import re
import time

import pytest

from pipeline.raw.item_names import is_named_item
from pipeline.raw.labels.path_matching import Written, inside, match_paths

PLAIN = [f"{n:05}.png" for n in range(12)]
CLASSES = [f"{label}/{n}.png" for label in ("cat", "dog") for n in range(3)]
DEEP = [f"images/{n:05}.png" for n in range(12)]
LABELS = ["cat"] * 3 + ["dog"] * 3


def match(texts, files, *, taken=(), share=1.0, home="", stem="labels", **beside):
    return match_paths(Written(texts, share, beside, home, stem), files, {*taken})


READINGS = {
    # of suffixes
    "no suffix": ([f"{n:05}" for n in range(12)], PLAIN, "with the suffix .png"),
    "no suffix of two kinds": (["a", "b"], ["a.png", "b.JPG"], "with the suffix .JPG or .png"),
    "no suffix, dots in the name": (["v1.2", "v1.3"], ["v1.2.png", "v1.3.png"], "suffix .png"),
    "no suffix, sidecars beside": (["a", "b"], ["a.png", "a.xml", "b.png", "b.xml"], ".png"),
    "another suffix": (["a.jpg", "b.jpg"], ["a.png", "b.png"], "with the suffix .png in place of"),
    "jpeg for jpg": (["a.jpeg", "b.jpeg"], ["a.jpg", "b.jpg"], "with the suffix .jpg in place"),
    "some with a suffix, some without": (["a.jpg", "b"], ["a.png", "b.png"], "in place of"),
    "no suffix on disk": (["a.png", "b.png"], ["a", "b"], "in place of their own"),
    # of case
    "case of the suffix": (["a.JPG", "b.JPG"], ["a.jpg", "b.jpg"], "in another case"),
    "case of the name": (["IMG_1.png", "IMG_2.png"], ["img_1.png", "Img_2.png"], "another case"),
    "case of the folder": (["CAT/0.png", "DOG/0.png"], CLASSES, "in another case"),
    "case and no suffix": (["IMG_1", "IMG_2"], ["img_1.png", "img_2.png"], "or with other blanks"),
    # of escapes
    "percent": (["my%20cat.png", "%C3%A9.png"], ["my cat.png", "\u00e9.png"], "%20 and the like"),
    "percent on disk": (["my cat.png", "b c.png"], ["my%20cat.png", "b%20c.png"], "%20 and the"),
    "an escaped slash": (["cat%2F0.png"], CLASSES, "with %20 and the like decoded"),
    "plus": (["my+cat.png", "b+c.png"], ["my cat.png", "b c.png"], "with + and %20 decoded"),
    "blanks for underscores": (["my cat.png"], ["my_cat.png"], "or with other blanks"),
    "quotes": (["'a.png'", '"b.png"'], ["a.png", "b.png"], "without blanks and quotes around"),
    "blanks on disk": (["a.png", "b.png"], [" a.png", "b.png "], "without blanks and quotes"),
    # of numbers
    "numbers without zeros": ([str(n) for n in range(12)], PLAIN, "as numbers, with the suffix"),
    "numbers read as floats": ([f"{n}.0" for n in range(12)], PLAIN, "as numbers, with the suffix"),
    "numbers with too many zeros": (["001.png", "002.png"], ["1.png", "2.png"], "as numbers"),
    # of places
    "another machine": (
        ["/home/x/data/cat/1.png", "/home/x/data/dog/1.png"],
        CLASSES,
        "without 'home/x/data/' before them",
    ),
    "a drive": ([r"C:\data\cat\1.png", r"C:\data\dog\2.png"], CLASSES, "without 'data/' before"),
    "a share": ([r"\\nas\pets\cat\1.png"], CLASSES, "without 'nas/pets/' before them"),
    "a file URL": (["file:///x/cat/1.png"], CLASSES, "without 'x/' before them"),
    "a bucket": (
        ["s3://bucket/pets/cat/1.png", "s3://bucket/pets/dog/1.png"],
        CLASSES,
        "without 'bucket/pets/' before them",
    ),
    "an address with a question": (["https://x.org/i/cat/1.png?w=9#a"], CLASSES, "'x.org/i/'"),
    "a notebook's drive": (["/content/drive/My Drive/cat/1.png"], CLASSES, "My Drive/' before"),
    "two machines": (["/a/cat/1.png", "/b/c/dog/1.png"], CLASSES, "without the folders before"),
    "the repository's path": (
        [f"data/mine/raw/{each}" for each in PLAIN],
        PLAIN,
        "without 'data/mine/raw/' before them",
    ),
    "from a folder above": (["../raw/cat/1.png"], CLASSES, "without '../raw/' before them"),
    "no folder": (PLAIN, DEEP, "with 'images/' before them"),
    "no folder and no suffix": (
        [f"{n:05}" for n in range(12)],
        DEEP,
        "with 'images/' before them, with the suffix .png",
    ),
    "another machine, no suffix": (
        ["/x/cat/1", "/x/dog/1"],
        CLASSES,
        "without 'x/' before them, with the suffix .png",
    ),
    "names in several folders": (["a.png", "b.png"], ["x/a.png", "y/b.png"], "the folders below"),
    "other folders": (["p/a.png", "q/b.png"], ["x/a.png", "y/b.png"], "by their names alone"),
    "another folder on top": (
        ["/m/old/cat/1.png", "/m/old/dog/1.png"],
        [f"new/{each}" for each in CLASSES],
        "by their last folders and names",
    ),
}
"""Paths, files, and what is told."""


@pytest.mark.parametrize(("texts", "files", "told"), READINGS.values(), ids=READINGS)
def test_one_reading_finds_all(texts, files, told):
    matched = match(texts, files)
    assert told in matched.told
    assert matched.told.startswith("they are read ")
    assert len(matched.files) == len(texts)
    assert len({*matched.files}) == len(texts)
    assert {*matched.files} <= {*files}
    if len(files) == len(texts):
        assert matched.files == tuple(files)
    if files == CLASSES:
        for text, file in zip(texts, matched.files, strict=True):
            folder, name = file.split("/")
            assert re.search(rf"{folder}(/|%2f|\\){name[0]}", text.lower())


def test_numbers_go_to_their_own_file():
    assert match(["3.0", "10", "007"], PLAIN).files == ("00003.png", "00010.png", "00007.png")


def test_paths_may_be_seen_from_the_lists_own_folder():
    files = ["a/1.png", "b/1.png"]
    assert match(["1.png"], files, home="b").files == ("b/1.png",)
    assert match(["../a/1.png"], files, home="b").files == ("a/1.png",)
    assert match(["raw/a/1.png"], files, home="..").files == ("a/1.png",)


def test_another_column_may_name_the_folder():
    texts = ["0.png", "1.png", "2.png"] * 2
    matched = match(texts, CLASSES, label=LABELS)
    assert matched == (tuple(CLASSES), "they are read in the folders of the column 'label'")
    matched = match(texts, [f"images/{each}" for each in CLASSES], folder=LABELS)
    assert matched.files[:2] == ("images/cat/0.png", "images/cat/1.png")


def test_a_list_named_as_a_folder_means_that_folder():
    files = [f"{folder}/{each}" for folder in ("train", "test") for each in PLAIN]
    assert match(PLAIN, files, stem="train").files[0] == "train/00000.png"
    matched = match(PLAIN, files)
    assert matched.files == ()
    assert matched.told == (
        "12 of them would be found with 'train/' before them; but as many with 'test/'"
    )


REFUSED = {
    "one is missing": (
        [f"{n:05}" for n in range(13)],
        PLAIN,
        "12 of them would be found with the suffix .png",
    ),
    "two pictures of one name": (
        ["a", "b"],
        ["a.png", "a.jpg", "b.png"],
        "1 of them would be found with the suffix .png",
    ),
    "two paths for one file": (
        ["a.jpg", "a.gif", "b"],
        ["a.png", "b.png"],
        "; but 'a.gif' and 'a.jpg' would be one file",
    ),
    "one name in several folders": (["1.png"], CLASSES, "1 of them would be found with 'dog/'"),
    "nothing like it": (["x", "y"], PLAIN, ""),
}


@pytest.mark.parametrize(("texts", "files", "told"), REFUSED.values(), ids=REFUSED)
def test_a_reading_that_does_not_fit_all_is_only_told(texts, files, told):
    matched = match(texts, files)
    assert matched.files == ()
    assert told in matched.told
    assert bool(told) == bool(matched.told)


def test_a_file_that_another_row_names_is_not_taken():
    matched = match(["a.jpg"], ["a.png"], taken=["a.png"])
    assert matched.files == ()
    assert "but 'a.jpg' would be 'a.png', which another row names" in matched.told


def test_a_path_that_stands_twice_is_one_file():
    assert match(["a", "a", "b"], ["a.png", "b.png"]).files == ("a.png", "a.png", "b.png")


def test_a_prefix_of_all_paths_may_go_where_some_files_are_missing():
    matched = match([f"/x/{each}" for each in (*PLAIN, "gone.png")], PLAIN)
    assert matched.files == (*PLAIN, None)
    assert matched.told == "they are read without 'x/' before them, with no file for 1"
    assert match(["/x/00000.png", "/x/gone.png", "/x/off.png"], PLAIN).files == ()


def test_a_few_stale_rows_among_good_ones_are_not_found_elsewhere():
    matched = match(["old/1.png"], ["pool/1.png", "2.png"], share=0.01)
    assert matched.files == ()
    assert "not believed of a few paths" in matched.told
    assert match(["1.JPG"], ["1.jpg"], share=0.01).files == ("1.jpg",)
    assert match(["/home/x/1.jpg"], ["1.jpg"], share=0.01).files == ("1.jpg",)


@pytest.mark.parametrize(
    "text",
    [
        "../../etc/passwd",
        "/etc/passwd",
        "file:///etc/passwd",
        "..",
        "a/../../passwd",
        "C:\\passwd",
        "%2e%2e%2fpasswd",
        "/",
        "",
    ],
)
def test_nothing_but_the_given_files_is_ever_found(text):
    found = match([text], ["passwd.png", "x/passwd", "a.png"], home="..").files
    assert set(found) <= {"passwd.png", "x/passwd"}


def test_absolute_paths_lie_in_a_root_or_not(tmp_path):
    root = tmp_path / "raw"
    root.mkdir()
    (tmp_path / "link").symlink_to(root)
    assert inside(root, f"{root}/a/1.png") == "a/1.png"
    assert inside(tmp_path / "link", f"{root}/1.png") == "1.png"
    assert inside(root, f"file://{root}/a%20b.png") == "a b.png"
    for text in (f"{root}/../x.png", f"{root}x/1.png", str(root), "a/1.png", "https://x/1.png"):
        assert inside(root, text) is None


def test_names_of_pictures():
    assert is_named_item("a/B.JPeG")
    assert not is_named_item("a.csv")
    assert not is_named_item("png")


def test_many_paths_take_seconds():
    files = [f"part{n % 50}/img_{n:06}.jpg" for n in range(10_000)]
    start = time.process_time()
    assert match([f"IMG_{n:06}" for n in range(10_000)], files).files[-1] == files[-1]
    assert match([f"{n:06}" for n in range(10_000)], files).files == ()
    assert match([f"/{n % 7}/{each}" for n, each in enumerate(files)] + ["x"], files).files == ()
    assert time.process_time() - start < 10  # 1 s
