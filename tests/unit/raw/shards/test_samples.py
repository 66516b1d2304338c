"""WebDataset shards: what lies beside a picture says its label, and only pictures are items."""

import json

import pytest

from pipeline.ground.errors import DataError
from pipeline.raw.items import find_items
from tests.support.packed import packed, tar
from tests.support.picturetables import picture
from tests.support.rawfolder import by_path, clean_folder


def shard(raw, name, members):
    path = raw / name
    path.parent.mkdir(parents=True, exist_ok=True)
    pairs = [
        (key, content if isinstance(content, bytes) else content.encode())
        for key, content in members
    ]
    path.write_bytes(packed(pairs) if name.endswith(".zip") else tar(pairs))


def samples(labels, *, picture=".jpg", label=".cls", first=0, folder=""):
    for number, each in enumerate(labels, first):
        yield f"{folder}{number:04}{picture}", b"\xff\xd8\xff"
        yield f"{folder}{number:04}{label}", each


def find(raw, target="label"):
    return find_items(raw, raw, target=target)


def labels_of(found):
    return {item.path: item.label for item in found.items}


FORMS = {
    "numbers": [("0.jpg", b"1"), ("0.cls", "1"), ("1.jpg", b"1"), ("1.cls", "0\n")],
    "words": [("0.png", b"1"), ("0.cls", "1"), ("1.webp", b"1"), ("1.cls", "\ufeff0 \r\n")],
    "a label first": [("0.cls", "1"), ("0.jpg", b"1"), ("1.cls", "0"), ("1.jpg", b"1")],
    "all labels last": [("0.jpg", b"1"), ("1.jpg", b"1"), ("0.cls", "1"), ("1.cls", "0")],
    "folders in keys": [
        ("a/b/0.jpg", b"1"),
        ("a/b/0.cls", "1"),
        ("c/0.jpg", b""),
        ("c/0.cls", "0"),
    ],
    "capitals": [("0.JPG", b"1"), ("0.CLS", "1"), ("1.JPEG", b"1"), ("1.cls", "0")],
    "parts of names": [
        ("0.input.jpg", b"1"),
        ("0.target.cls", "1"),
        ("1.jpg", b"1"),
        ("1.cls", "0"),
    ],
    "dots in names": [("a.0.jpg", b"1"), ("a.0.cls", "1"), ("a.1.jpg", b"1"), ("a.1.cls", "0")],
    "another suffix": [("0.jpg", b"1"), ("0.class", "1"), ("1.jpg", b"1"), ("1.label", "0")],
    "JSON": [("0.jpg", b"1"), ("0.json", '{"label": 1}'), ("1.jpg", b""), ("1.json", '{"cls": 0}')],
    "JSON of words": [
        ("0.jpg", b"1"),
        ("0.json", '{"class": "1"}'),
        ("1.jpg", b"1"),
        ("1.json", '{"label": "0", "x": [1]}'),
    ],
    "both": [
        ("0.jpg", b"1"),
        ("0.cls", "1"),
        ("0.json", '{"label": "x"}'),
        ("0.txt", "a cat"),
        ("1.jpg", b"1"),
        ("1.cls", "0"),
        ("1.json", '{"label": "y"}'),
        ("1.npy", b"\x93"),
    ],
}


@pytest.mark.parametrize("suffix", ["tar", "zip"])
@pytest.mark.parametrize("form", FORMS)
def test_labels_are_read_from_beside_the_pictures(tmp_path, form, suffix):
    shard(tmp_path, f"shard-000000.{suffix}", FORMS[form])
    found = find(tmp_path)
    assert found.layout == "samples"
    assert [item.label for item in found.items] == ["1", "0"]
    assert all(
        item.path.lower().endswith((".jpg", ".jpeg", ".png", ".webp")) for item in found.items
    )


def test_unpacked_shards_are_read_too(tmp_path):
    for name, content in samples(["cat", "dog"], folder="train/"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    assert labels_of(find(tmp_path)) == {"train/0000.jpg": "cat", "train/0001.jpg": "dog"}


def test_equal_keys_of_two_shards_are_two_items(tmp_path):
    shard(tmp_path, "0.tar", samples(["cat"]))
    shard(tmp_path, "1.tar", samples(["dog"]))
    found = find(tmp_path)
    assert labels_of(found) == {"0.tar/0000.jpg": "cat", "1.tar/0000.jpg": "dog"}
    assert [item.row for item in found.items] == [0, 1]
    assert found.items[0].where == f"{tmp_path}/0.tar/0000.cls"


@pytest.mark.parametrize(
    "names",
    [
        ("train-0000.tar", "val-0000.tar", "test-0000.tar"),
        ("train/0000.tar", "val/0000.tar", "test/0000.tar"),
        ("imagenet-train-00.tar", "imagenet-validation-00.tar", "imagenet-test-00.tar"),
        ("wds/train/0.tar", "wds/valid/0.tar", "wds/test/0.tar"),
    ],
    ids=["prefix", "folder", "within", "deeper"],
)
def test_names_of_shards_say_the_splits(tmp_path, names):
    for name in names:
        shard(tmp_path, name, samples(["a", "b"]))
    found = find(tmp_path)
    splits = {
        name: {item.split for item in found.items if item.path.startswith(name)} for name in names
    }
    assert list(splits.values()) == [{"train"}, {"val"}, {"test"}]
    assert found.warnings == ()


def test_a_shard_without_a_split_beside_one_with_it_stops_the_look(tmp_path):
    shard(tmp_path, "train-0.tar", samples(["a"]))
    shard(tmp_path, "0.tar", samples(["b"]))
    with pytest.raises(DataError, match=r"'train-0\.tar' is named as a split, and '0\.tar' is not"):
        find(tmp_path)


def test_pictures_without_a_label_and_labels_without_a_picture_are_counted(tmp_path):
    shard(
        tmp_path,
        "0.tar",
        [*samples(["a", "b"]), ("7.jpg", b"1"), ("8.cls", "a"), ("9.cls", "b"), ("README", "x")],
    )
    found = find(tmp_path)
    assert labels_of(found) == {
        "0.tar/0000.jpg": "a",
        "0.tar/0001.jpg": "b",
        "0.tar/7.jpg": None,
        "0.tar/README": None,
    }
    assert found.warnings == ("2 samples have no picture, and do not count; first: '0.tar/8.cls'",)


def test_several_pictures_of_a_key_share_its_label_and_a_group(tmp_path):
    shard(
        tmp_path,
        "0.tar",
        [
            ("a.left.jpg", b"1"),
            ("a.right.jpg", b"1"),
            ("a.cls", "x"),
            ("b.jpg", b"1"),
            ("b.cls", "y"),
        ],
    )
    found = find(tmp_path)
    assert [(item.label, item.group) for item in found.items] == [
        ("x", "0.tar/a"),
        ("x", "0.tar/a"),
        ("y", None),
    ]
    assert found.warnings == (
        "1 samples have several pictures, such as '0.tar/a.left.jpg' and '0.tar/a.right.jpg': each "
        "is an item with the sample's label, and they stay in one split",
    )


def test_masks_of_a_key_are_no_items(tmp_path):
    members = [
        (f"{n}{end}", c)
        for n in range(3)
        for end, c in ((".jpg", b"1"), (".seg.png", b"1"), (".cls", "x"))
    ]
    shard(tmp_path, "0.tar", members)
    found = find(tmp_path)
    assert sorted(labels_of(found)) == [f"0.tar/{n}.jpg" for n in range(3)]
    assert found.warnings == (
        "pictures that only describe others of their sample are no items: seg.png 3",
    )


def test_fields_of_json_pass_through_and_own_ones_count(tmp_path):
    fields = [
        {"site": "n", "age": 4, "group": "g", "split": "train", "label": 9, "box": [1, 2]},
        {"site": None, "group": "h", "split": "test", "path": "/x", "ok": True},
    ]
    members = list(samples(["a", "b"]))
    members += [(f"{number:04}.json", json.dumps(each)) for number, each in enumerate(fields)]
    shard(tmp_path, "0.tar", members)
    found = find(tmp_path)
    assert found.meta_names == ("age", "ok", "site")
    assert [(item.label, item.meta, item.group, item.split) for item in found.items] == [
        ("a", ("4", "", "n"), "g", "train"),
        ("b", ("", "true", ""), "h", "test"),
    ]


def test_the_target_names_a_field_or_the_end_of_a_name(tmp_path):
    shard(
        tmp_path,
        "0.tar",
        [
            *samples(["0", "1"]),
            ("0000.json", '{"kind": "cat"}'),
            ("0001.json", '{"kind": "dog"}'),
            ("0000.txt", "a"),
            ("0001.txt", "b"),
        ],
    )
    for target, labels in (("kind", ["cat", "dog"]), ("txt", ["a", "b"]), ("cls", ["0", "1"])):
        assert [item.label for item in find(tmp_path, target).items] == labels
    with pytest.raises(DataError, match=r"no field 'age' in its \.json.*fields .*: 'kind'"):
        find(tmp_path, "age")


NAMES = {
    "a file of names": ("classnames.txt", "cat\ndog\n", ["cat", "dog"], "as 'classnames.txt' name"),
    "another file": ("train/classes.txt", "cat\r\ndog", ["cat", "dog"], "0 is 'cat'"),
    "too few": ("classnames.txt", "cat\n", ["0", "1"], "does not name the classes"),
    "one twice": ("classnames.txt", "cat\ncat\n", ["0", "1"], "does not name the classes"),
    "no text": ("classnames.txt", b"\xff\xfe\x00", ["0", "1"], "does not name the classes"),
}


@pytest.mark.parametrize("name", NAMES)
def test_a_file_beside_the_shards_names_numbered_classes(tmp_path, name):
    file, content, labels, warning = NAMES[name]
    shard(tmp_path, "train/0.tar", samples(["0", "1"]))
    (tmp_path / file).write_bytes(content if isinstance(content, bytes) else content.encode())
    found = find(tmp_path)
    assert [item.label for item in found.items if item.path.endswith(".jpg")] == labels
    assert warning in " ".join(found.warnings)


FAULTS = {
    "two lines": ("cat\ndog", "must be one label, in one line"),
    "no text": (b"\xff\xfe", "no readable text"),
    "a pickle": (b"\x80\x04\x95", "no readable text"),
    "endless": (b"1" * 5000, "too_large"),
    "control marks": ("cat\x1b[2J", "must be one label"),
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_label_that_cannot_be_read_costs_its_item(tmp_path, name):
    content, fault = FAULTS[name]
    members = [
        (f"{n:02}{end}", c)
        for n in range(40)
        for end, c in ((".png", picture(n)), (".cls", "ab"[n % 2]))
    ]
    members[1] = ("00.cls", content)
    shard(tmp_path, "0.tar", members)
    row = by_path(clean_folder(tmp_path))["0.tar/00.png"]
    assert (row["status"], row["reason"]) == ("quarantined", "no_label")
    (bad,) = [item for item in find(tmp_path).items if item.reason]
    assert bad.detail.startswith(f"{tmp_path}/0.tar/00.cls: ")
    assert fault in bad.detail


JSONS = {
    "a list of labels": '{"label": ["cat", "dog"]}',
    "no object": "[1]",
    "cut": '{"label": "c',
    "deep": "[" * 100_000,
    "half a letter": '{"label": null, "x": "\\ud800"}',
}


@pytest.mark.parametrize("name", JSONS)
def test_json_without_a_plain_label_leaves_its_picture_unlabeled(tmp_path, name):
    shard(
        tmp_path,
        "0.tar",
        [("0.jpg", b"1"), ("0.json", JSONS[name]), ("1.jpg", b"1"), ("1.json", '{"label": "a"}')],
    )
    assert labels_of(find(tmp_path)) == {"0.tar/0.jpg": None, "0.tar/1.jpg": "a"}


@pytest.mark.parametrize(
    "parts",
    [{".json": '{"caption": "a", "url": "b"}', ".txt": "a cat"}, {".txt": "a cat"}],
    ids=["captions and JSON", "captions"],
)
def test_shards_of_captions_say_what_they_lack(tmp_path, parts):
    members = [(f"{n}{end}", c) for n in range(3) for end, c in ({".jpg": b"1"} | parts).items()]
    shard(tmp_path, "00000.tar", members)
    with pytest.raises(DataError, match=r"is a WebDataset without labels: .*no \.cls and no field"):
        find(tmp_path)


NO_SAMPLES = {
    "notes in class folders": [
        ("cat/1.jpg", b"1"),
        ("cat/1.json", '{"by": "x"}'),
        ("dog/1.jpg", b"1"),
        ("dog/1.json", '{"by": "x"}'),
    ],
    "texts in class folders": [("cat/1.jpg", b"1"), ("cat/1.txt", "x"), ("dog/2.jpg", b"1")],
    "a style file": [("cat/1.jpg", b"1"), ("dog/2.jpg", b"1"), ("paper/article.cls", "x")],
}


@pytest.mark.parametrize("name", NO_SAMPLES)
def test_class_folders_in_archives_stay_class_folders(tmp_path, name):
    shard(tmp_path, "a.tar", NO_SAMPLES[name])
    assert find(tmp_path).layout == "class folders"


def test_a_label_file_comes_before_labels_in_shards(tmp_path):
    shard(tmp_path, "0.tar", samples(["a", "b"]))
    (tmp_path / "labels.csv").write_text("path,label\n0000.jpg,x\n0001.jpg,y\n")
    found = find(tmp_path)
    assert found.layout == "label file"
    assert labels_of(found)["0.tar/0000.jpg"] == "x"


def test_names_that_leave_the_folder_stay_unread(tmp_path):
    shard(tmp_path, "0.tar", [*samples(["a", "b"]), ("../x.jpg", b"1"), ("../x.cls", "a")])
    found = find(tmp_path)
    assert [item.reason for item in found.items] == ["unsafe_path", "unsafe_path", None, None]
