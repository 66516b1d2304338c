"""Raw folders of sets for detection, segmentation and other tasks: what they are, and the way on.

A set is told by the names of its files, by the beginnings of its notes, or by pictures that are the
masks of others. Pictures in class folders with notes beside them are a set for classification, and
pass.
"""

import re
from collections import Counter, defaultdict
from collections.abc import Collection, Iterator, Mapping
from functools import lru_cache
from pathlib import Path

from pipeline.ground.errors import DataError
from pipeline.modality.types.protocols import RawFolder
from pipeline.picture.files import is_picture
from pipeline.picture.sets.heads import read_ends
from pipeline.raw.shards.shard_names import split_of_shard

_BOXES = (
    "write labels.csv with the columns path and label, one label for each picture; or cut each box "
    "out into a folder named by its class"
)
_MASKED = "write labels.csv with the columns path and label for those that have a label"

_NAMES: tuple[tuple[str, str], ...] = (
    (r"_annotations\.coco\.json", "a COCO export of Roboflow"),
    (r"_annotations\.createml\.json", "a CreateML export of boxes"),
    (r"_annotations\.csv", "a table of boxes as Roboflow exports it"),
    (r"_annotations\.txt|_darknet\.labels", "a YOLO export of Roboflow"),
    (r"(?:instances|person_keypoints|captions|stuff|panoptic)_[^/]*\.json", "a COCO set"),
    (r"_classes\.csv", "a multi-label export of Roboflow"),
    (r"obj\.(?:data|names)", "a YOLO set (darknet)"),
    (r"via_(?:region_data|project|export)[^/]*\.(?:json|csv)", "a VIA project"),
    (r".*_gtfine_(?:labelids|polygons|color|instanceids)\.\w+", "a Cityscapes set"),
    (r".*\.(?:jpe?g|png)\.json", "a Supervisely project"),
)
"""Names of files in lower case, and what a set with such a file is."""

_BOX = r'"(?:bbox|segmentation|keypoints)"'
_FRACTION = r"(?:0?\.\d+(?:e-\d+)?|[01](?:\.0*)?)"
_TEXTS: tuple[tuple[str, tuple[str, ...], str], ...] = (
    ("json", (r'"shapes"\s*:', r'"(?:imagePath|points)"'), "a LabelMe set"),
    ("json", (r'"(?:shape_attributes|_via_settings)"',), "a VIA project"),
    (
        "json",
        (r'"(?:from_name|(?:rectangle|polygon|brush|keypoint)labels)"',),
        "a Label Studio export",
    ),
    ("json", (r'"classTitle"',), "a Supervisely project"),
    ("json", (r'"coordinates"\s*:\s*\{',), "a CreateML export of boxes"),
    ("json", (r'"(?:data_row|Labeled Data|featureId)"',), "a Labelbox export"),
    ("json", (r'"(?:annotations|categories)"\s*:', _BOX), "a COCO set"),
    ("json", (r'"annotations"\s*:', r'"category_id"'), "a COCO file of labels"),
    (
        "json",
        (r'"(?:bbox(?:es)?|box2d|boxes|bounding_?box(?:es)?|polygons?)"\s*:',),
        "a set of boxes or outlines",
    ),
    ("xml", (r"<annotation\b", r"<(?:bndbox|polygon)\b"), "a Pascal VOC set"),
    (
        "xml",
        (r"<annotations\b", r"<(?:box|polygon|polyline|points|cuboid|mask)\s"),
        "a CVAT export",
    ),
    ("yaml", (r"(?:^|\n)\s*names\s*:", r"(?:^|\n)\s*(?:nc|train)\s*:"), "a YOLO set"),
)
"""Of a note: its suffix, what its beginning or end must all hold, and what its set is."""

_LINES: tuple[tuple[str, str, str], ...] = (
    ("csv", r".*\bregion_(?:shape_attributes|count)\b.*", "a VIA export"),
    ("csv", r".*\b(?:b?box_?)?x_?(?:min|1)\b.*\by_?(?:min|1)\b.*", "a table of boxes"),
    ("csv", r".*\bb?box(?:es)?(?:_?x)?\b.*", "a table of boxes"),
    ("csv", r".*\b(?:encodedpixels|rle|segmentation)\b.*", "a table of masks"),
    ("csv", r"[^,]*\.(?:jpe?g|png|bmp|webp|tiff?)(?:,\d+){4},[^,]+", "a table of boxes"),
    ("txt", rf"\d+(?:[ \t]+{_FRACTION}){{4,400}}", "a YOLO set"),
    ("txt", r"[a-z]\w+ \d(?:\.\d+)? \d(?: -?\d+(?:\.\d+)?){12,13}", "a KITTI set"),
    ("txt", r"imagesource:.*|(?:\d+(?:\.\d+)? ){8}\S+(?: \d)?", "a DOTA set"),
)
"""Of a note: its suffix, its first line in lower case, and what its set is."""

_SUFFIXES = {"yml": "yaml", "ndjson": "json", "jsonl": "json", "": "xml"}
_IMAGE_WORDS = frozenset(
    "image images img imgs picture pictures photo photos pic pics jpegimages jpg jpgs jpeg png "
    "rgb frames original originals input inputs data dataset leftimg8bit".split()
)
_MASK_WORDS = frozenset(
    "mask masks seg segs segmentation segmentations segmentationclass segmentationobject label "
    "labels labelids annotation annotations annot annots ann anns gt gts gtfine groundtruth matte "
    "mattes trimap trimaps semantic".split()
)
_MASK_STEM = re.compile(
    r"[_\-. ]+(?:masks?|seg|segmentation|segm|gt|groundtruth|ground_truth|labels?|annotation|annot|"
    r"matte|trimap|gtfine_(?:labelids|color|instanceids))(?:[_\-. ]*\d+)?$",
    re.IGNORECASE,
)
_IMAGE_STEM = re.compile(r"[_\-. ]+(?:images?|img|rgb|sat|leftimg8bit|original)$", re.IGNORECASE)
_WORD = re.compile(r"[a-z0-9]+")
_FEWEST_MASKS, _MASKS_SHARE, _MASKED_SHARE = 3, 0.8, 0.2
_GROUPS, _OF_EACH, _SHOWN = 48, 3, 4
_LINE_CHARS = 4096
_LISTS = (".txt", ".csv", ".tsv")

Place = tuple[str, ...]
"""The folders and the name of a file, as if archives were unpacked where they lie."""


def refuse_other_tasks(raw: Path, folder: RawFolder) -> None:
    """Refuse a folder without a label file whose pictures have no label each.

    Args:
        raw: The data folder.
        folder: What is in it.

    Raises:
        DataError: It says what the set is, by which file that was told, and what to do.
    """
    notes = {path: _place(folder, path) for path in folder.files if not is_picture(path)}
    if len(notes) == len(folder.files):
        return
    _refuse_masks(raw, folder)
    folders = Counter(_place(folder, path)[:-1] for path in folder.files if is_picture(path))
    prefix = _common(folders)
    classes = _classes(folders, prefix)
    for what, path in _evidence(raw, folder, notes) if notes else ():
        if not classes:
            raise _refusal(raw, what, path, _BOXES)
        if prefix and notes[path][: len(prefix)] != prefix:
            inner, named = "/".join(prefix), ", ".join(map(repr, classes[:_SHOWN]))
            raise _refusal(
                raw,
                what,
                path,
                f"if the folders in {inner!r}, such as {named}, are the classes, write data.path: "
                f"{raw / inner}; else {_BOXES}",
            )
    if classes:
        _refuse_flat_splits(raw, folders, notes, prefix)


def _refusal(raw: Path, what: str, path: str, remedy: str) -> DataError:
    return DataError(
        raw,
        f"looks like {what} ({path!r}), and this tool learns one label for a whole picture",
        remedy=remedy,
    )


def _place(folder: RawFolder, path: str) -> Place:
    holder = folder.archive_of(path)
    if holder is None:
        return tuple(path.split("/"))
    return (*holder.split("/")[:-1], *path[len(holder) + 1 :].split("/"))


def _common(folders: Collection[Place]) -> Place:
    first, last = min(folders), max(folders)
    same = [one == other for one, other in zip(first, last, strict=False)]
    return first[: same.index(False) if False in same else len(same)]


def _words(name: str) -> list[str]:
    return _WORD.findall(name.lower())


def _class(folders: Place, prefix: Place) -> str | None:
    """Return the folder that may name the class of pictures: no split, and not called `images`."""
    return next(
        (
            part
            for part in folders[len(prefix) :]
            if not split_of_shard(part) and not set(_words(part)) <= _IMAGE_WORDS
        ),
        None,
    )


def _classes(counts: Counter[Place], prefix: Place) -> list[str]:
    """Return the folders that may be classes; none where few pictures lie in such folders.

    Args:
        counts: Of pictures, by the folders that they lie in.
        prefix: What all of these begin with.
    """
    named = {folders: _class(folders, prefix) for folders in counts}
    classes = sorted({name for name in named.values() if name is not None})
    is_most = 2 * sum(counts[each] for each in counts if named[each] is not None) >= counts.total()
    return classes if is_most and len(classes) > 1 else []


def _evidence(
    raw: Path, folder: RawFolder, notes: Mapping[str, Place]
) -> Iterator[tuple[str, str]]:
    """Return what a set is, and the file that says so; files are opened where names do not tell."""
    groups: dict[tuple[Place, str], list[str]] = defaultdict(list)
    for path, place in notes.items():
        name = place[-1].lower()
        yield from ((what, path) for known, what in _NAMES if re.fullmatch(known, name))
        suffix = name.rpartition(".")[2] if "." in name else ""
        groups[place[:-1], _SUFFIXES.get(suffix, suffix)].append(path)
    kinds = {kind for kind, _, _ in (*_TEXTS, *_LINES)}
    known = [(key[1], paths) for key, paths in sorted(groups.items()) if key[1] in kinds]
    for kind, paths in known[:_GROUPS]:
        for path in paths[:_OF_EACH]:
            what = _told(kind, read_ends(raw, folder, path).decode("utf-8-sig", "replace"))
            if what:
                yield what, path


def _told(kind: str, text: str) -> str | None:
    """Return what a set is, by the beginning and the end of a note."""
    line = text.lstrip().partition("\n")[0].strip().lower()[:_LINE_CHARS]
    for known, expression, what in _LINES:
        if known == kind and re.fullmatch(expression, line):
            return what
    return next(
        (
            what
            for known, expressions, what in _TEXTS
            if known == kind and all(re.search(each, text) for each in expressions)
        ),
        None,
    )


def _refuse_masks(raw: Path, folder: RawFolder) -> None:
    """Refuse pictures that are the masks of others.

    Raises:
        DataError: Most pictures that are called masks have the name of another one otherwise.
    """
    keys = ((path, *_mask_key(_place(folder, path))) for path in folder.files if is_picture(path))
    masks = {path: key for path, is_mask, key in keys if is_mask}
    if len(masks) < _FEWEST_MASKS:
        return
    images = {
        _mask_key(_place(folder, path))[1]: path
        for path in folder.files
        if is_picture(path) and path not in masks
    }
    matched = {path: images[key] for path, key in masks.items() if key in images}
    masked = len(set(matched.values()))
    if len(matched) < max(_FEWEST_MASKS, _MASKS_SHARE * len(masks)):
        return
    if masked < _MASKED_SHARE * len(images):
        return
    path, image = next(iter(matched.items()))
    what = f"a set with masks: {len(matched)} pictures are called as masks of others, such as"
    rest = Counter(_place(folder, each)[:-1] for each in images.values())
    remedy = _MASKED
    if _classes(rest, _common(rest)):
        pattern = _pattern(_place(folder, path))
        remedy = f"leave the masks out by clean.ignore: [{pattern!r}]; or {_MASKED}"
    raise DataError(
        raw,
        f"looks like {what} {path!r} of {image!r}, and this tool learns one label for a whole "
        "picture",
        remedy=remedy,
    )


def _mask_key(place: Place) -> tuple[bool, tuple[Place, str]]:
    """Return whether a picture is called a mask, and what its name shares with its picture's."""
    *folders, name = place
    rest, is_in_masks = _folder_key(tuple(folders))
    stem = name.rpartition(".")[0] or name
    base = _MASK_STEM.sub("", stem)
    return base != stem or is_in_masks, (rest, _IMAGE_STEM.sub("", base).lower())


@lru_cache(maxsize=4096)
def _folder_key(folders: Place) -> tuple[Place, bool]:
    """Return what the names of folders say but "images" and "masks", and whether of masks."""
    words = [_words(part) for part in folders]
    plain = [
        " ".join(
            word
            for word in (each.removesuffix("annot") for each in part)
            if word not in _IMAGE_WORDS | _MASK_WORDS
        )
        for part in words
    ]
    named = {word for part in words for word in part}
    is_mask = bool(_MASK_WORDS & named) or any(word.endswith("annot") for word in named)
    return tuple(filter(None, plain)), is_mask


def _pattern(place: Place) -> str:
    """Return a pattern for `clean.ignore` that leaves out masks such as this one."""
    stem, _, suffix = place[-1].rpartition(".")
    found = _MASK_STEM.search(stem)
    if found:
        return f"*{found.group().rstrip('0123456789_-. ')}*.{suffix}"
    return next((part for part in place[:-1] if _MASK_WORDS & set(_words(part))), place[-1])


def _refuse_flat_splits(
    raw: Path, folders: Collection[Place], notes: Mapping[str, Place], prefix: Place
) -> None:
    """Refuse class folders for training beside a split without them whose labels a list has.

    Raises:
        DataError: A split has no class folders, and a list lies in it or is called as it.
    """
    classed: dict[str, set[str | None]] = defaultdict(set)
    for each in folders:
        split = split_of_shard(each[len(prefix)]) if len(each) > len(prefix) else None
        if split:
            classed[split].add(_class(each, prefix))
    if len(classed.get("train", set()) - {None}) < 2:
        return
    for split, classes in classed.items():
        lists = [
            path
            for path in notes
            if path.lower().endswith(_LISTS) and split_of_shard(path) == split
        ]
        if classes == {None} and lists:
            raise DataError(
                raw,
                f"its split {split!r} has no class folders, as 'train' has, but a list "
                f"({lists[0]!r})",
                remedy="write labels.csv with the columns path, label and split for all pictures, "
                f"or sort the pictures of {split!r} into class folders",
            )
