"""Sets for detection, segmentation and other tasks are named as such; sets with classes pass."""

import json

import pytest

from pipeline.ground.errors import DataError
from pipeline.raw.folder import look_at
from pipeline.raw.items import find_items
from tests.support.packed import packed, tar


def write(raw, files):
    for name, content in files.items():
        (raw / name).parent.mkdir(parents=True, exist_ok=True)
        (raw / name).write_bytes(content if isinstance(content, bytes) else content.encode())


def pictures(*folders, n=4, suffix=".jpg"):
    return {
        f"{folder}/{number:03}{suffix}": b"\xff\xd8\xff"
        for folder in folders
        for number in range(n)
    }


def notes(*folders, text, suffix, n=4):
    return {f"{folder}/{number:03}{suffix}": text for folder in folders for number in range(n)}


COCO = json.dumps(
    {
        "images": [{"id": 1, "file_name": "000.jpg"}],
        "annotations": [{"image_id": 1, "category_id": 1, "bbox": [1, 2, 3, 4]}],
        "categories": [{"id": 1, "name": "cat"}],
    }
)
VOC = (
    "<annotation><filename>000.jpg</filename><object><name>cat</name><bndbox><xmin>1</xmin>"
    "</bndbox></object></annotation>"
)
YOLO = "0 0.5 0.5 0.25 0.1\n1 0.25 0.125 0.1 0.2\n"
OUTLINE = "3 0.1 0.1 0.2 0.1 0.2 0.3 0.1 0.3\n"
LABELME = json.dumps({"version": "5", "shapes": [{"points": [[1, 2]]}], "imagePath": "000.jpg"})
LABEL_STUDIO = json.dumps([{"annotations": [{"result": [{"from_name": "l", "to_name": "i"}]}]}])
VIA = json.dumps({"000.jpg1": {"regions": [{"shape_attributes": {"name": "rect"}}]}})
CREATE = json.dumps([{"image": "000.jpg", "annotations": [{"coordinates": {"x": 1}}]}])
CVAT = '<annotations><version>1.1</version><image id="0"><box label="cat" xtl="1"/></image>'
OTHERS = {
    "COCO": (
        pictures("train2017", "val2017") | {"annotations/instances_train2017.json": COCO},
        "a COCO set ('annotations/instances_train2017.json')",
    ),
    "COCO, in a folder": (pictures("coco/images") | {"coco/labels.json": COCO}, "a COCO set"),
    "COCO, zipped": (
        {"x.zip": packed([("img/1.jpg", b"1"), ("a.json", COCO.encode())])},
        "a COCO set ('x.zip/a.json')",
    ),
    "COCO of Roboflow": (
        pictures("train", "valid") | {"train/_annotations.coco.json": COCO},
        "a COCO export of Roboflow",
    ),
    "COCO without boxes": (
        pictures("images") | {"t.json": COCO.replace("bbox", "area")},
        "a COCO file of labels",
    ),
    "Pascal VOC": (
        pictures("JPEGImages")
        | notes("Annotations", text=VOC, suffix=".xml")
        | {"ImageSets/Main/train.txt": "000\n"},
        "a Pascal VOC set",
    ),
    "Pascal VOC, deeper": (
        pictures("VOCdevkit/VOC2012/JPEGImages")
        | notes("VOCdevkit/VOC2012/Annotations", text=VOC, suffix=".xml"),
        "a Pascal VOC set",
    ),
    "Pascal VOC, beside": (
        pictures("train", "test") | notes("train", "test", text=VOC, suffix=".xml"),
        "a Pascal VOC set",
    ),
    "YOLO": (
        pictures("images/train", "images/val")
        | notes("labels/train", "labels/val", text=YOLO, suffix=".txt"),
        "a YOLO set",
    ),
    "YOLO, outlines": (
        pictures("train/images", "valid/images")
        | notes("train/labels", "valid/labels", text=OUTLINE, suffix=".txt"),
        "a YOLO set",
    ),
    "YOLO, data.yaml": (
        pictures("train/images", "test/images")
        | {"data.yaml": "train: ../train\nnc: 1\nnames: ['cat']\n"},
        "a YOLO set",
    ),
    "YOLO, darknet": (pictures("obj_train_data") | {"obj.names": "cat\n"}, "a YOLO set (darknet)"),
    "YOLO, in a tar": (
        {"x.tar": tar([("d/1.jpg", b"1"), ("d/1.txt", YOLO.encode())])},
        "a YOLO set ('x.tar/d/1.txt')",
    ),
    "LabelMe": (pictures("all") | notes("all", text=LABELME, suffix=".json"), "a LabelMe set"),
    "Label Studio": (
        pictures("images") | {"project-1.json": LABEL_STUDIO},
        "a Label Studio export",
    ),
    "VIA, JSON": (pictures("images") | {"export.json": VIA}, "a VIA project"),
    "VIA, CSV": (
        pictures("images") | {"x.csv": "filename,region_count,region_shape_attributes\n"},
        "a VIA export",
    ),
    "CVAT": (pictures("images") | {"annotations.xml": CVAT}, "a CVAT export"),
    "CreateML": (pictures("train") | {"train/x.json": CREATE}, "a CreateML export of boxes"),
    "boxes in a table": (
        pictures("images") | {"train.csv": "image,xmin,ymin,xmax,ymax,class\n"},
        "a table of boxes",
    ),
    "boxes without a header": (
        pictures("images") | {"a.csv": "i/0.jpg,1,2,30,40,cat\n"},
        "a table of boxes",
    ),
    "boxes of Roboflow": (
        pictures("train") | {"train/_annotations.csv": "filename,width\n"},
        "a table of boxes as Roboflow exports it",
    ),
    "wheat": (
        pictures("train") | {"train.csv": "image_id,width,height,bbox,source\n"},
        "a table of boxes",
    ),
    "run lengths": (
        pictures("train") | {"train.csv": "ImageId,EncodedPixels\n"},
        "a table of masks",
    ),
    "KITTI": (
        pictures("image_2")
        | notes(
            "label_2",
            suffix=".txt",
            text="Car 0.00 0 -1.5 1.0 2.0 3.0 4.0 1.5 1.6 3.7 -2.7 1.7 3.9 -1.6\n",
        ),
        "a KITTI set",
    ),
    "DOTA": (
        pictures("images") | notes("labelTxt", text="1 2 3 4 5 6 7 8 plane 0\n", suffix=".txt"),
        "a DOTA set",
    ),
    "Supervisely": (pictures("ds/img") | {"ds/ann/000.jpg.json": "{}"}, "a Supervisely project"),
    "several labels": (
        pictures("train", "valid") | {"train/_classes.csv": "filename, cat, dog\n"},
        "a multi-label export of Roboflow",
    ),
    "masks": (pictures("images", "masks"), "a set with masks: 4 pictures are called"),
    "masks of another suffix": (
        pictures("imgs") | pictures("masks", suffix=".png"),
        "'masks/000.png' of 'imgs/000.jpg'",
    ),
    "masks, in splits": (
        pictures("train/images", "train/masks", "val/images", "val/masks"),
        "a set with masks",
    ),
    "masks, split above": (pictures("images/train", "annotations/train"), "a set with masks"),
    "masks, by split": (pictures("train_images", "train_masks", "test_images"), "a set with masks"),
    "masks, annot": (pictures("train", "trainannot", "val", "valannot"), "a set with masks"),
    "masks, beside": (
        {f"all/{n}{end}": b"" for n in range(5) for end in (".jpg", "_mask.png")},
        "'all/0_mask.png' of 'all/0.jpg'",
    ),
    "Cityscapes": (
        {
            f"{top}/train/aachen/a_{n}_{end}.png": b""
            for n in range(5)
            for top, end in (("leftImg8bit", "leftImg8bit"), ("gtFine", "gtFine_labelIds"))
        },
        "a set with masks",
    ),
}


@pytest.mark.parametrize("name", OTHERS)
def test_a_set_for_another_task_is_named(tmp_path, name):
    files, what = OTHERS[name]
    write(tmp_path, files)
    with pytest.raises(DataError) as caught:
        find_items(tmp_path, tmp_path, target="label")
    text = str(caught.value)
    assert what in text
    assert text.startswith(f"{tmp_path}: looks like ")
    assert "one label for a whole picture" in text
    assert "write labels.csv with the columns path and label" in text
    assert "\n" not in text
    first = next(path for path in look_at(tmp_path).files if path.endswith((".jpg", ".png")))
    (tmp_path / "labels.csv").write_text(f"path,label\n{first},cat\n")
    assert find_items(tmp_path, tmp_path, target="label").layout == "label file"


CLASSES = {
    "notes beside": pictures("cat", "dog") | notes("cat", "dog", text=VOC, suffix=".xml"),
    "JSON beside": pictures("cat", "dog") | notes("cat", "dog", text=LABELME, suffix=".json"),
    "boxes beside, in splits": pictures("train/cat", "train/dog", "test/cat", "test/dog")
    | notes("train/cat", "test/dog", text=YOLO, suffix=".txt"),
    "classes mask and no mask": pictures("mask", "no_mask"),
    "classes masks and no_masks": pictures("masks", "no_masks") | {"README.md": "x"},
    "classes with and without": pictures("with_mask", "without_mask"),
    "classes image and label": pictures("images", "paintings"),
    "a class of labels": pictures("labels", "logos"),
    "sizes of a picture": {f"cat/{n}{end}.jpg": b"" for n in range(5) for end in ("", "_l", "_s")}
    | pictures("dog"),
    "a text and a table": pictures("cat", "dog") | {"notes.txt": "0 of them\n", "a.csv": "a,b\n"},
    "a file of names": pictures("cat", "dog") | {"classes.txt": "cat\ndog\n"},
    "boxes beside classes": pictures("cat", "dog", "bird") | {"boxes/a.csv": "x1,y1,x2,y2\n"},
}


@pytest.mark.parametrize("name", CLASSES)
def test_a_set_with_classes_passes(tmp_path, name):
    write(tmp_path, CLASSES[name])
    find_items(tmp_path, tmp_path, target="label")


def test_classes_beside_a_folder_of_boxes_are_pointed_at(tmp_path):
    write(
        tmp_path,
        pictures("Images/n01-husky", "Images/n02-pug")
        | notes("Annotation/n01-husky", "Annotation/n02-pug", text=VOC, suffix=""),
    )
    with pytest.raises(DataError, match=rf"a Pascal VOC set.*write data\.path: {tmp_path}/Images;"):
        find_items(tmp_path, tmp_path, target="label")
    found = find_items(tmp_path / "Images", tmp_path / "Images", target="label")
    assert {item.label for item in found.items} == {"n01-husky", "n02-pug"}


@pytest.mark.parametrize(
    ("files", "pattern"),
    [
        (
            {
                f"{c}/{c} ({n}){end}.png": b""
                for c in ("benign", "normal")
                for n in range(5)
                for end in ("", "_mask")
            },
            "*_mask*.png",
        ),
        (pictures("cat/images", "cat/masks", "dog/images", "dog/masks"), "masks"),
    ],
    ids=["by name", "by folder"],
)
def test_masks_in_class_folders_are_not_learned_as_pictures(tmp_path, files, pattern):
    write(tmp_path, files)
    with pytest.raises(DataError) as caught:
        find_items(tmp_path, tmp_path, target="label")
    assert f"leave the masks out by clean.ignore: ['{pattern}']" in str(caught.value)


@pytest.mark.parametrize(
    "files",
    [
        pictures("val") | {"val.txt": "000.jpg 1\n"},
        pictures("val/images") | {"val/val_annotations.txt": "000.jpg\tn01\t0\t0\t9\t9\n"},
        pictures("val") | {"devkit/ILSVRC2012_validation_ground_truth.txt": "490\n"},
        pictures("val") | {"LOC_val_solution.csv": "ImageId,PredictionString\n"},
    ],
    ids=["a list beside", "a list inside", "numbers elsewhere", "a table"],
)
def test_a_split_whose_labels_are_in_a_list_is_named(tmp_path, files):
    write(tmp_path, pictures("train/n01", "train/n02/images") | files)
    with pytest.raises(DataError, match="its split 'val' has no class folders, as 'train' has"):
        find_items(tmp_path, tmp_path, target="label")
