"""What folders mean: which name classes, which name splits, and what is left out or refused."""

from collections import Counter

import pytest
from pydantic import ValidationError

from pipeline.ground.errors import DataError
from pipeline.predict.inputs import find_inputs
from pipeline.raw.items import find_items
from pipeline.raw.layout.split_words import split_folder
from pipeline.raw.params import DataParams
from tests.support.packed import packed
from tests.support.rawfolder import clean_params

CLASSES = ("cat", "dog")


def touch(raw, paths):
    for path in paths:
        (raw / path).parent.mkdir(parents=True, exist_ok=True)
        (raw / path).write_bytes(b"x")


def classes(*bases, names=CLASSES, n=3):
    """Return paths of pictures in class folders below each base."""
    return [
        f"{base}/{name}/{i}.png".lstrip("/") for base in bases for name in names for i in range(n)
    ]


def flat(*bases, n=4):
    """Return paths of pictures that lie directly in each base."""
    return [f"{base}/{i:03}.png" for base in bases for i in range(n)]


def find(raw, paths, **params):
    touch(raw, paths)
    return find_items(raw, raw, target="label", **params)


def counts(found):
    return Counter((item.split, item.label) for item in found.items)


def dealt(*splits, names=CLASSES, n=3):
    return Counter({(split, name): n for split in splits for name in names})


def told(found, text):
    return [warning for warning in found.warnings if text in warning]


SPLITS = {
    "train": "train training Training TRAIN trn tr trainset train_set TrainSet trainImages "
    "train-images train_images images_train train2017 train-2019 training_data 01_train "
    "Train_Images_2020 train(1) trainval train_224x224 TrainingSet traindata imgs-train train.v2 "
    "训练集 entrenamiento",
    "val": "val valid validation validate Validation VAL valset val2017 dev devel development "
    "dev_set DevSet imgs_val valid_split va PublicTest Validación",
    "test": "test testing Testing tst tests test_set test-images test1 TestSet holdout hold-out "
    "held_out HeldOut unseen eval Evaluation test_unlabeled te PrivateTest 测试集",
}
NO_SPLITS = (
    "test_tube training_shoe validator trainer tester trains contest retest valley devil device "
    "trim tree team tsunami greatest attest cat train_station development_board evaluator"
)


@pytest.mark.parametrize(
    ("name", "split"),
    [
        pytest.param(name, split, id=name)
        for split, names in SPLITS.items()
        for name in names.split()
    ],
)
def test_a_folder_named_as_a_split_in_a_usual_spelling_is_that_split(name, split):
    found = split_folder(name)
    assert found is not None
    assert (found.split, found.rest) == (split, "")


@pytest.mark.parametrize("name", NO_SPLITS.split())
def test_a_word_that_only_looks_like_a_split_is_none(name):
    found = split_folder(name)
    assert found is None or found.rest


THREE = ("train", "val", "test")
TWO = ("train", "test")
READ = {
    "other words": (classes("Training", "Testing"), TWO),
    "development set": (classes("train", "dev", "test"), THREE),
    "evaluation is test": (classes("train", "evaluation"), TWO),
    "evaluation beside test is val": (classes("train", "eval", "test"), THREE),
    "years": (classes("train2017", "val2017"), ("train", "val")),
    "a word of its own": (classes("birds_train", "birds_test"), TWO),
    "one down": (classes("PetImages/train", "PetImages/valid"), ("train", "val")),
    "three down": (classes("a/b/c/Train", "a/b/c/Test"), TWO),
    "doubled": (classes("train/train", "test/test"), TWO),
    "doubled with a word": (classes("seg_train/seg_train", "seg_test/seg_test"), TWO),
    "in images": (classes("train/images", "test/images"), TWO),
    "wrapped twice": (classes("set/set/train", "set/set/test"), TWO),
    "beside notes": ([*classes("Train", "Tests"), "labels/1.txt", "a.csv"], TWO),
    "below each class": (classes("cat", "dog", names=("train", "test")), None),
    "one class lacks one": (["cat/train/1.png", "cat/test/1.png", "dog/train/1.png"], None),
}


@pytest.mark.parametrize(("paths", "splits"), READ.values(), ids=READ)
def test_splits_are_read_wherever_they_lie_and_it_is_told(tmp_path, paths, splits):
    found = find(tmp_path, paths)
    assert found.layout == "split folders"
    assert {item.label for item in found.items} == {"cat", "dog"}
    assert told(found, "read as splits")
    if splits:
        assert counts(found) == dealt(*splits)
    else:
        assert all(item.split == item.path.split("/")[1] for item in found.items)


PLAIN = {
    "classes": (classes(""), (None,)),
    "splits": (classes(*THREE), THREE),
    "splits in capitals": (classes("Train", "VALID", "Test"), THREE),
    "two splits": (classes("train", "val"), ("train", "val")),
    "train alone": (classes("train"), ("train",)),
}


@pytest.mark.parametrize(("paths", "splits"), PLAIN.values(), ids=PLAIN)
def test_the_plain_layouts_need_no_word(tmp_path, paths, splits):
    found = find(tmp_path, paths)
    assert (counts(found), found.warnings, found.ignored) == (dealt(*splits), (), 0)


VEHICLES = {
    "train among vehicles": ("train", "car", "plane"),
    "test and control": ("test", "control"),
    "valid and invalid": ("valid", "invalid"),
    "all of a trial": ("test", "train", "control"),
}


@pytest.mark.parametrize("names", VEHICLES.values(), ids=VEHICLES)
def test_a_class_may_be_named_as_a_split_and_it_is_told(tmp_path, names):
    found = find(tmp_path, flat(*names))
    assert counts(found) == dealt(None, names=names, n=4)
    assert len(told(found, "is named as a split, and is taken for a class")) == 1


@pytest.mark.parametrize(
    "inner", [("1", "2"), ("2019", "2020"), ("shot_01", "shot_02")], ids=lambda names: names[0]
)
def test_classes_that_hold_folders_of_the_same_numbers_are_classes_and_it_is_told(tmp_path, inner):
    found = find(tmp_path, classes("cat", "dog", names=inner))
    assert counts(found) == dealt(None, n=6)
    assert told(found, "if these are the classes, write data.layout: any/class")


def test_things_whose_names_hold_a_word_for_a_split_are_classes(tmp_path):
    found = find(tmp_path, flat("test_tube", "training_shoe", "validator"))
    assert (found.layout, found.warnings) == ("class folders", ())


BESIDE = {
    "annotations": (flat("annotations"), "4 files beside the splits, left out: 'annotations' (4"),
    "several": (
        flat("preds", "docs", n=2),
        "4 files beside the splits, left out: 'docs' (2 files)",
    ),
    "deeper": (flat("masks/a", "masks/b", n=1), "2 files beside the splits, left out: 'masks' (2"),
    "one file": (["figures/1.png"], "1 file beside the splits, left out: 'figures' (1 file)"),
}


@pytest.mark.parametrize(("more", "warning"), BESIDE.values(), ids=BESIDE)
@pytest.mark.parametrize("base", ["", "PetImages/"])
def test_folders_beside_splits_are_left_out_counted_and_named(tmp_path, base, more, warning):
    found = find(tmp_path, [*classes(f"{base}train", f"{base}val"), *more])
    assert counts(found) == dealt("train", "val")
    assert told(found, warning)
    assert found.ignored == len(more)


def test_pictures_that_lie_above_the_splits_stay_items_without_a_label(tmp_path):
    found = find(tmp_path, [*classes("a/train", "a/test"), "1.png", "a/2.png"])
    assert counts(found) == dealt(*TWO) + Counter({(None, None): 2})


UNLABELED = {
    "flat": flat("test"),
    "numbered": flat("test1"),
    "in unknown": flat("test/unknown"),
    "in images": flat("test/images"),
    "doubled": flat("test/test"),
    "two folders": flat("test/images_1", "test/images_2", n=2),
    "val": flat("val"),
}


@pytest.mark.parametrize("paths", UNLABELED.values(), ids=UNLABELED)
def test_a_split_without_labels_is_left_out_and_the_way_to_score_it_is_told(tmp_path, paths):
    found = find(tmp_path, [*classes("train"), *paths])
    assert counts(found) == dealt("train")
    assert found.ignored == 4
    (warning,) = told(found, "without a label, left out; score them with `rootstock predict")
    assert warning.startswith("4 files of ")
    assert str(tmp_path / paths[0].split("/")[0]) in warning


DOUBTS = {
    "no train": (
        classes("val", "test"),
        "'test', 'val' hold the same folders: 'cat', 'dog'; "
        "'test', 'val' are named as splits, none as train",
    ),
    "an unknown word": (classes("train", "pruefung"), "'train' is named as a split, 'pruefung'"),
    "no words": (classes("siteA", "siteB"), "'siteA', 'siteB' hold the same folders"),
    "words with others": (classes("train_a", "test_b"), "write data.layout: split/class if"),
    "classes of splits": (flat("cat_train", "cat_test", "dog_train", "dog_test"), "a split each"),
    "splits of classes": (flat("train-cat", "train-dog", "val-cat", "val-dog"), "a split each"),
    "domains": (flat("x/trainA", "x/trainB", "x/testA", "x/testB"), "data.layout: any/class"),
    "other classes in test": (
        classes("a_train", names="abcd") + classes("a_test", names="ax"),
        "write data.layout: split/class if the folders in them",
    ),
    "the classes and all": (classes("", "set"), "clean.ignore: ['/set']"),
    "all in one beside notes": (
        classes("101_Categories", "Annotations", names="ab")
        + classes("101_Categories", names="cdefg"),
        "'/Annotations'",
    ),
    "pictures and notes": (classes("images/Images") + flat("annotations/x"), "'/annotations'"),
    "folds": (classes("f1/train", "f1/test", "f2/train", "f2/test"), "'f1', 'f2' hold splits with"),
    "a copy": (classes("x/train", "x/test", "x/x/train", "x/x/test"), "clean.ignore: ['/x/x']"),
    "the classes again": (classes("train", "test", "more"), "clean.ignore: ['/more']"),
    "a class beside": ([*classes("train", "test"), *flat("cat")], "clean.ignore: ['/cat']"),
    "a class without": ([*classes("cat", names=TWO), *flat("dog")], "'dog' none"),
    "other classes": (classes("train") + classes("test", names="ab"), "none of the classes"),
    "more beside": ([*classes("a/train", "a/test"), *flat("b", n=20)], "hold more files: 20 to 12"),
    "train and a doubled one": ([*classes("train"), *flat("a_test/a_test")], "'/a_test'"),
    "train and a flat one": ([*classes("train"), *flat("pictures")], "'/pictures'"),
    "no class folders": (flat("train", "test"), "'test', 'train', named as splits, are in no"),
    "nothing but words": (flat("images", "photos"), "'images', 'photos' say nothing of classes"),
}


@pytest.mark.parametrize(("paths", "fault"), DOUBTS.values(), ids=DOUBTS)
def test_what_stays_in_doubt_stops_with_names_and_a_way_on_that_moves_no_file(
    tmp_path, paths, fault
):
    with pytest.raises(DataError) as caught:
        find(tmp_path, paths)
    assert fault in str(caught.value)
    assert any(
        way in str(caught.value) for way in ("data.layout: ", "clean.ignore: ", "data.path: ")
    )


@pytest.mark.parametrize(
    ("paths", "place", "layout"),
    [
        pytest.param(classes("PetImages"), "PetImages", "any/class", id="one"),
        pytest.param(classes("x/x"), "x/x", "any/any/class", id="doubled"),
        pytest.param(
            [*classes("food/images"), "food/a.txt"], "food/images", "any/any/class", id="with notes"
        ),
        pytest.param(classes("test"), "test", "any/class", id="one split"),
    ],
)
def test_one_folder_around_all_stops_and_each_way_that_is_named_works(
    tmp_path, paths, place, layout
):
    with pytest.raises(DataError) as caught:
        find(tmp_path, paths)
    inner = tmp_path / place
    assert f"(write data.path: {inner} and data.labels: {inner}, or" in str(caught.value)
    assert f"data.layout: {layout})" in str(caught.value)
    assert counts(find(inner, ())) == dealt(None)
    assert counts(find(tmp_path, (), layout=layout)) == dealt(None)


def test_one_folder_in_an_archive_is_no_path_to_name(tmp_path):
    (tmp_path / "a.zip").write_bytes(packed([(path, b"x") for path in classes("PetImages")]))
    with pytest.raises(DataError, match=r"are 'cat', 'dog' \(write data\.layout: any/class\)"):
        find(tmp_path, ())
    assert counts(find(tmp_path, (), layout="any/class")) == dealt(None)


LAYOUTS = {
    "class": (classes("train", "test"), "class", Counter({(None, "train"): 6, (None, "test"): 6})),
    "split/class": (classes("train_a", "test_b"), "split/class", dealt(*TWO)),
    "class/split": (classes("cat", "dog", names=TWO), "class/split", dealt(*TWO)),
    "any/class": (classes("siteA", "siteB"), "any/class", dealt(None, n=6)),
    "any/split/class": (
        classes("f1/train", "f1/test", "f2/train", "f2/test"),
        "any/split/class",
        dealt(*TWO, n=6),
    ),
    "split/any/class": (classes("train/a", "test/b"), "split/any/class", dealt(*TWO)),
}


@pytest.mark.parametrize(("paths", "layout", "expected"), LAYOUTS.values(), ids=LAYOUTS)
def test_the_layout_may_be_given(tmp_path, paths, layout, expected):
    assert counts(find(tmp_path, paths, layout=layout)) == expected


def test_a_given_layout_without_train_and_one_beside_a_label_file_are_told(tmp_path):
    with pytest.raises(DataError, match=r"no folder is named as train .* there are 'a', 'b'"):
        find(tmp_path / "x", classes("a", "b"), layout="split/class")
    touch(tmp_path / "y", ["1.png"])
    (tmp_path / "y/labels.csv").write_text("path,label\n1.png,a\n")
    found = find(tmp_path / "y", (), layout="class")
    assert told(found, "data.layout: class has no effect")


@pytest.mark.parametrize(
    ("names", "place", "found"),
    [
        pytest.param(
            [f"train/{each}.{n}.jpg" for each in CLASSES for n in range(3)] + flat("test1"),
            "train",
            "'cat' (3), 'dog' (3)",
            id="cat.0",
        ),
        pytest.param(
            [f"{each}_{n}.jpg" for each in ("bull_dog", "pug") for n in range(3)],
            "",
            "'bull_dog' (3), 'pug' (3)",
            id="bull_dog_1",
        ),
        pytest.param(
            [f"n{each}_{n}.jpg" for each in (11, 12) for n in range(3)],
            "",
            "'n11' (3), 'n12' (3)",
            id="n11_1",
        ),
        pytest.param(
            [f"images/{each}{n:03}.JPEG" for each in CLASSES for n in range(3)],
            "images",
            "'cat' (3), 'dog' (3)",
            id="cat000",
        ),
    ],
)
def test_classes_in_the_names_of_files_are_told_with_a_line_that_labels_them(
    tmp_path, run_line, names, place, found
):
    raw = tmp_path / "raw"
    with pytest.raises(DataError) as caught:
        find(raw, names)
    text = str(caught.value)
    assert f"seem to begin with classes, {found}" in text
    run_line(text[text.index("(run `") + 6 : text.index("` and write ")])
    labels = tmp_path / "labels.csv"
    assert text.endswith(f"data.labels: {labels})")
    items = find_items(raw / place, labels, target="label").items
    assert Counter(item.label for item in items if item.label) == Counter(
        dict.fromkeys(sorted({each.split("'")[1] for each in found.split(", ")}), 3)
    )


@pytest.fixture
def run_line():
    import subprocess

    return lambda line: subprocess.run(["bash", "-c", line], check=True)


SIDECARS = {
    "labels of boxes": ("cat/0.xml", "cat/1.xml"),
    "texts": ("cat/0.txt", "dog/captions.txt"),
    "tables": ("_classes.csv", "train.tsv"),
    "of a camera": ("cat/0.AAE", "cat/1.png.xmp", "cat/2.mov"),
    "of a download": ("cat/0.png.supplemental-metadata.json", "README", "LICENSE-CC0.rst"),
    "of a developer": ("cat/0.pp3", "cat/1.lab"),
}


@pytest.mark.parametrize("names", SIDECARS.values(), ids=SIDECARS)
def test_notes_beside_pictures_are_left_out_counted_by_suffix_and_told(tmp_path, names):
    found = find(tmp_path, [*classes(""), *names])
    assert counts(found) == dealt(None)
    assert found.ignored == len(names)
    (warning,) = told(found, "left out as notes beside the pictures: ")
    assert warning.startswith(f"{len(names)} files ")


@pytest.mark.parametrize(
    "name",
    ["0.psd", "0.heic", "x.pdf", "0.JPG", "x", "0.cr2", "x.dat", "x.png.part", "readmeter.bin"],
)
def test_what_may_be_a_picture_is_no_note_and_stays_an_item(tmp_path, name):
    found = find(tmp_path, [*classes(""), f"cat/{name}"])
    assert f"cat/{name}" in [item.path for item in found.items]
    assert found.ignored == 0


def test_a_file_that_a_label_file_names_is_an_item_and_other_notes_are_not(tmp_path):
    touch(tmp_path, ["1.png", "1.xml", "2.txt"])
    (tmp_path / "labels.csv").write_text("path,label\n1.png,a\n2.txt,b\n")
    items = find(tmp_path, ()).items
    assert [(item.path, item.reason) for item in items] == [("1.png", None), ("2.txt", None)]


def test_notes_alone_are_no_data(tmp_path):
    with pytest.raises(DataError, match=r"has no pictures: 2 files left out .*: \.txt 2"):
        find(tmp_path, ["cat/1.txt", "dog/1.txt"])


IGNORED = {
    "a suffix": (["*.psd"], ["cat/9.psd", "cat/deep/8.PSD"]),
    "a folder by name": (["thumbs"], ["thumbs/1.png", "cat/thumbs/2.png"]),
    "a folder by its place": (["cat/old"], ["cat/old/1.png", "cat/old/deep/2.png"]),
    "a folder at the top": (["/extra"], ["extra/1.png"]),
    "with a slash at its end": (["extra/"], ["extra/1.png", "dog/extra/2.png"]),
    "two stars": (["**/raw/*.png"], ["cat/raw/1.png", "raw/2.png"]),
    "a packed copy": (["all.tar.gz"], ["all.tar.gz"]),
    "several": (["*.psd", "old*"], ["cat/9.psd", "cat/old_1.png"]),
}


@pytest.mark.parametrize(("ignore", "paths"), IGNORED.values(), ids=IGNORED)
def test_what_the_user_ignores_is_left_out_and_counted_by_pattern(tmp_path, ignore, paths):
    found = find(tmp_path, [*classes(""), *paths], ignore=ignore)
    assert counts(found) == dealt(None)
    assert found.ignored == len(paths)
    (warning,) = told(found, "left out by clean.ignore")
    assert warning.startswith(f"{len(paths)} file")


def test_a_pattern_from_the_top_spares_folders_further_down_and_an_idle_one_is_told(tmp_path):
    found = find(tmp_path, [*classes("train", "test"), *flat("cat")], ignore=["/cat", "*.xlm"])
    assert counts(found) == dealt(*TWO)
    assert told(found, "4 files left out by clean.ignore: '/cat' 4, '*.xlm' 0")


SYSTEMS = (
    "Thumbs.db ehthumbs.db ehthumbs_vista.db desktop.ini Icon\r $RECYCLE.BIN/1.png @eaDir/1.png "
    "#recycle/1.png #snapshot/a/1.png @Recycle/1.png @Recently-Snapshot/1.png @__thumb/1.png "
    "lost+found/1.png Picasa.ini ZbThumbnail.info __pycache__/a.pyc ~$list.xlsx ~snapshot/1.png "
    "__MACOSX/1.png 1.png:Zone.Identifier 1.pngZone.Identifier"
)
BLANKS = ("System Volume Information/1.png", "Network Trash Folder/1.png", "Temporary Items/1.png")


@pytest.mark.parametrize("name", [*SYSTEMS.split(" "), *BLANKS], ids=repr)
def test_what_a_system_leaves_is_no_item_and_is_named(tmp_path, name):
    found = find(tmp_path / "loose", [*classes(""), name, f"cat/{name}"])
    assert counts(found) == dealt(None)
    assert found.ignored == 2
    assert told(found, f"left out as what systems and viewers leave: {name.split('/')[0]!r} 2")
    members = [(path, b"x") for path in [*classes(""), f"cat/{name}"]]
    (tmp_path / "packed").mkdir()
    (tmp_path / "packed/a.zip").write_bytes(packed(members))
    assert counts(find(tmp_path / "packed", ())) == dealt(None)


def test_what_a_system_leaves_is_not_predicted(tmp_path):
    touch(tmp_path, ["1.png", "@eaDir/1.png", "#recycle/2.png", "Picasa.ini"])
    assert [each.inner for each in find_inputs([str(tmp_path)])] == ["1.png"]


HIDDEN = (
    ".DS_Store ._1.png .Trash-1000/1.png .Spotlight-V100/1.png .fseventsd/1 .@__thumb/1.png "
    ".picasaoriginals/1.png .ipynb_checkpoints/1.png .nfs0001 .dropbox.cache/1.png .stfolder/1 "
    ".syncthing.1.png.tmp"
)


@pytest.mark.parametrize("name", HIDDEN.split(" "))
def test_hidden_entries_are_no_items(tmp_path, name):
    found = find(tmp_path, [*classes(""), f"cat/{name}"])
    assert (counts(found), found.ignored) == (dealt(None), 1)


EMPTY = {
    "empty": ([], "the class folder 'bird' has no picture"),
    "hidden files alone": (["bird/.DS_Store"], "the class folder 'bird' has no picture"),
    "system files alone": (["bird/Thumbs.db"], "the class folder 'bird' has no picture"),
    "notes alone": (["bird/1.txt"], "the class folder 'bird' has no picture"),
    "several": (["fish/Thumbs.db"], "2 class folders 'bird', 'fish' have no picture"),
}


@pytest.mark.parametrize(("paths", "warning"), EMPTY.values(), ids=EMPTY)
def test_a_class_folder_without_a_picture_is_named(tmp_path, paths, warning):
    (tmp_path / "bird/deep").mkdir(parents=True)
    assert told(find(tmp_path, [*classes(""), *paths]), warning)


def test_an_empty_class_or_split_is_named_where_splits_lie(tmp_path):
    for name in ("a/train/bird", "a/val/cat", "a/notes"):
        (tmp_path / name).mkdir(parents=True)
    found = find(tmp_path, classes("a/train", "a/test"))
    assert told(found, "the class folder 'a/train/bird' has no picture")
    assert told(found, "the split folder 'a/val' has no picture")
    assert not told(found, "notes")
    assert told(find(tmp_path / "a/train", ()), "the class folder 'bird' has no picture")


def test_a_class_that_is_named_as_something_else_is_told_with_a_way_to_leave_it_out(tmp_path):
    found = find(tmp_path, [*classes(""), *flat("annotations")])
    assert told(
        found,
        "'annotations' is taken for a class; if it is none, leave it out with "
        "clean.ignore: ['/annotations']",
    )
    assert counts(find(tmp_path, (), ignore=["/annotations"])) == dealt(None)


@pytest.mark.parametrize("layout", ["auto", *LAYOUTS])
def test_params_take_each_layout(layout):
    assert (
        DataParams(
            path="x", labels="x", target="label", text=None, encoding=None, layout=layout
        ).layout
        == layout
    )


@pytest.mark.parametrize(
    "layout",
    ["", "split", "any", "classes", "class/class", "split/class/split", "/class", "auto/class"],
)
def test_params_refuse_a_layout_without_one_class(layout):
    with pytest.raises(ValidationError):
        DataParams(path="x", labels="x", target="label", text=None, encoding=None, layout=layout)


@pytest.mark.parametrize("glob", ["", "/", " ", "../x", "a/../b"])
def test_params_refuse_a_pattern_that_names_nothing_in_the_raw_folder(glob):
    with pytest.raises(ValidationError):
        clean_params(ignore=[glob])


def test_a_folder_that_says_nothing_of_a_class_is_one_and_is_named(tmp_path):
    found = find(tmp_path, [*classes(""), *flat("unlabeled")])
    assert told(
        found,
        "'unlabeled' is taken for a class; if it is none, leave it out with "
        "clean.ignore: ['/unlabeled']",
    )


@pytest.mark.parametrize("pattern", ["/extra", "extra/", "/extra/cat", "/all.zip/extra"])
def test_a_pattern_names_a_folder_in_an_archive_as_if_it_were_unpacked(tmp_path, pattern):
    (tmp_path / "all.zip").write_bytes(
        packed([(path, b"x") for path in [*classes(""), *classes("extra", names=["cat"])]])
    )
    assert counts(find(tmp_path, (), ignore=[pattern])) == dealt(None)


def test_a_pattern_names_an_archive_of_a_split_as_its_folder(tmp_path):
    for name in ("train", "val", "test"):
        members = [(path, b"x") for path in classes("")]
        (tmp_path / f"{name}.zip").write_bytes(packed(members))
    assert counts(find(tmp_path, (), ignore=["/val"])) == dealt("train", "test")
