"""WebDataset shards: files of one name are one sample, such as `01.jpg`, `01.cls` and `01.json`.

A sample's key is its file's path up to the first dot of the name; what follows tells what the file
holds. The same is read from unpacked shards. What is named as an item is one; the rest says what
the items are.
"""

import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from pipeline.ground.errors import DataError
from pipeline.raw.folder import Folder
from pipeline.raw.item import Item, RawItems
from pipeline.raw.item_names import is_item_name, item_noun, item_nouns
from pipeline.raw.labels.columns import OWN_COLUMNS
from pipeline.raw.labels.label_file import check_rows
from pipeline.raw.labels.text_table import TextTable
from pipeline.raw.shards.class_names import names_of_classes
from pipeline.raw.shards.shard_names import split_of_shard
from pipeline.raw.shards.table_items import items_of_shards
from pipeline.raw.source import RawFault, read_raw
from pipeline.store.kept import Kept, cells

LABELS = ("label", "cls", "class")
"""What a label is called: as the end of a file's name, or as a field of its JSON."""

_MASKS = frozenset(
    {"annotation", "depth", "instance", "labels", "mask", "masks", "seg", "segmentation", "semseg"}
)
"""Words before the suffix of a file that only describes another one of its key."""

_LABEL_BYTES, _JSON_BYTES = 1 << 12, 1 << 20
_LOOKED_AT, _SHOWN = 16, 12
_MOST_FIELDS = 64
"""Fields of JSON that pass through; where there are more, none does."""


@dataclass
class _Sample:
    """The files of one key."""

    items: list[str] = field(default_factory=list)
    masks: list[str] = field(default_factory=list)
    parts: dict[str, str] = field(default_factory=dict)
    """The other files, by the last part of their names, in lower case."""


@dataclass(frozen=True)
class _Known:
    """What the files of a key say of its items."""

    where: str
    label: str = ""
    fault: str = ""
    """Why there is no label, although there is a file for it."""
    fields: Mapping[str, str] = field(default_factory=dict)
    """Of its JSON: plain values, by name."""


def from_samples(raw: Path, folder: Folder, *, target: str) -> RawItems | None:
    """Return the items of samples; None where the folder does not hold any.

    A label is a file `<key>.cls`, else a field of `<key>.json`, called as `target` says. Fields of
    JSON pass through as columns of a label file do.

    Args:
        raw: The data folder.
        folder: What is in it.
        target: What labels are called; `label`, `cls` and `class` mean one another.

    Raises:
        DataError: The samples have no such label, or the names of shards say the splits of some.
    """
    wanted = tuple(dict.fromkeys((target, *LABELS))) if target.lower() in LABELS else (target,)
    telling = {"cls", "json", "txt", *map(str.lower, wanted)}
    if not any(path.rpartition(".")[2].lower() in telling for path in folder.files):
        return None
    samples = _group(folder.files)
    with_items = {key: each for key, each in sorted(samples.items()) if each.items}
    if not _are_samples(raw, folder, with_items, wanted):
        return None
    known = {key: _read(raw, each, wanted) for key, each in with_items.items()}
    labels = {each.label for each in known.values() if each.label}
    if not labels:
        raise _without_labels(raw, with_items, known, target)
    names, namers, told = names_of_classes(raw, folder, labels)
    known = {
        key: replace(each, label=names.get(each.label, each.label)) for key, each in known.items()
    }
    found = _items(raw, folder, with_items, known, target)
    lost = {
        key: each
        for key, each in samples.items()
        if not each.items and {*map(str.lower, wanted), "cls", "json"} & set(each.parts)
    }
    used = {
        path
        for each in (*with_items.values(), *lost.values())
        for path in (*each.items, *each.masks, *each.parts.values())
    }
    beside = [Item(path) for path in folder.files if path not in used and path not in namers]
    warnings = (*found.warnings, *told, *_described(with_items, lost))
    return replace(found, items=(*found.items, *beside), warnings=warnings)


def _key(path: str) -> str:
    folder, slash, name = path.rpartition("/")
    return f"{folder}{slash}{name.partition('.')[0]}"


def _group(files: Iterable[str]) -> dict[str, _Sample]:
    """Group files by their keys; a key with dots in it is known by a second file of its stem."""
    by_key: dict[str, list[str]] = defaultdict(list)
    for path in files:
        by_key[_key(path)].append(path)
    samples: dict[str, _Sample] = {}
    for key, paths in by_key.items():
        stems = defaultdict(list)
        for path in paths:
            stems[path.rpartition(".")[0] or path].append(path)
        is_dotted = any(len(each) > 1 for stem, each in stems.items() if stem != key)
        samples |= {
            stem: _sample(each) for stem, each in (stems.items() if is_dotted else [(key, paths)])
        }
    return samples


def _sample(paths: Iterable[str]) -> _Sample:
    sample = _Sample()
    for path in paths:
        *words, last = path.rpartition("/")[2].lower().split(".")[1:] or [""]
        if not is_item_name(path):
            sample.parts[last] = path
        else:
            (sample.masks if _MASKS & set(words) else sample.items).append(path)
    if not sample.items:
        sample.items, sample.masks = sample.masks, []
    return sample


def _are_samples(
    raw: Path, folder: Folder, with_items: Mapping[str, _Sample], wanted: Sequence[str]
) -> bool:
    """Return whether items have labels beside them, or JSON or texts in archives.

    The latter may be notes on items in class folders: their JSON must have a label, or there
    must be no folders.
    """
    suffixes = {"cls", *(name.lower() for name in wanted)}
    if any(suffixes & set(each.parts) for each in with_items.values()):
        return True
    packed = {key: each for key, each in with_items.items() if folder.archive_of(key)}
    noted = [each for each in packed.values() if {"json", "txt"} & set(each.parts)]
    if 2 * len(noted) <= len(packed):
        return False
    if any(_read(raw, each, wanted).label for each in noted[:_LOOKED_AT]):
        return True
    return not _have_folders(folder, packed)


def _have_folders(folder: Folder, keys: Iterable[str]) -> bool:
    """Return whether folders in or above archives may name classes."""
    above = {(folder.archive_of(key) or "").rpartition("/")[0] for key in keys}
    tops = {each for each in above if not split_of_shard(each)}
    inside = any("/" in key[len(folder.archive_of(key) or "") + 1 :] for key in keys)
    return inside or len(tops) > 1


def _read(raw: Path, sample: _Sample, wanted: Sequence[str]) -> _Known:
    """Read the label and the JSON of a sample."""
    found: dict[str, Any] = {}
    fault = ""
    if "json" in sample.parts:
        found, fault = _read_json(raw, sample.parts["json"])
    fields = {_plain(name): _plain(value) for name, value in found.items() if _is_plain(value)}
    file = next((sample.parts[each.lower()] for each in wanted if each.lower() in sample.parts), "")
    if file:
        label, fault = _read_text(raw, file)
        return _Known(str(raw / file), label, fault, fields)
    where = str(raw / sample.parts.get("json", sample.items[0]))
    name = next((name for name in wanted if name in found), "")
    if name and name not in fields:
        fault = f"{where}: {name}: must be text or a number"
    return _Known(where, fields.get(name, ""), fault, fields)


def _read_json(raw: Path, path: str) -> tuple[dict[str, Any], str]:
    """Return the fields of a JSON file, or what is wrong with it."""
    try:
        found = json.loads(read_raw(raw, path, _JSON_BYTES))
    except (RawFault, ValueError, RecursionError) as error:
        return {}, f"{raw / path}: no readable JSON: {error}"
    is_object = isinstance(found, dict)
    return (found, "") if is_object else ({}, f"{raw / path}: must be a JSON object")


def _read_text(raw: Path, path: str) -> tuple[str, str]:
    """Return the one line of a file, or what is wrong with it."""
    try:
        text = read_raw(raw, path, _LABEL_BYTES).decode("utf-8-sig").strip(" \t\r\n\0")
    except (RawFault, UnicodeDecodeError) as error:
        return "", f"{raw / path}: no readable text: {error}"
    if not text.isprintable():
        return "", f"{raw / path}: must be one label, in one line"
    return text, ""


def _is_plain(value: Any) -> bool:
    return value is None or isinstance(value, str | int | float)


def _plain(value: Any) -> str:
    text = value if isinstance(value, str) else "" if value is None else json.dumps(value)
    return text.encode("utf-8", "backslashreplace").decode("utf-8")  # JSON may hold half letters


def _items(
    raw: Path,
    folder: Folder,
    samples: Mapping[str, _Sample],
    known: Mapping[str, _Known],
    target: str,
) -> RawItems:
    """Return the items of samples by way of tables such as label files, one for each shard."""
    names = _columns(known.values(), target)
    shards: dict[str, list[tuple[str, str]]] = defaultdict(list)
    for key, sample in samples.items():
        shard = folder.archive_of(key) or key.rpartition("/")[0]
        shards[shard] += [(path, key) for path in sorted(sample.items)]
    rows = {}
    for shard, pairs in shards.items():
        texts = []
        for path, key in pairs:
            each = known[key]
            group = each.fields.get("group") or (key if len(samples[key].items) > 1 else "")
            own = {"path": path, target: each.label, "group": group}
            texts.append(tuple(own.get(name, each.fields.get(name, "")) for name in names))
        kept = Kept.keep(texts, cells(len(names)), folder.place)
        table = TextTable(raw / shard, names, kept, range(1, len(texts) + 1))
        rows[shard] = check_rows(table, target=target)
    paths = {shard: [path for path, _ in pairs] for shard, pairs in shards.items()}
    items, warnings = items_of_shards(raw, rows, paths)
    keys = [known[key] for pairs in shards.values() for _, key in pairs]
    meta_names = next(iter(rows.values())).meta_names
    named = tuple(_named(item, each) for item, each in zip(items, keys, strict=True))
    return RawItems(named, "samples", meta_names, 0, tuple(warnings))


def _named(item: Item, known: _Known) -> Item:
    if item.label is None and known.fault:
        return replace(item, where=known.where, reason="no_label", detail=known.fault)
    return replace(item, where=known.where)


def _columns(known: Iterable[_Known], target: str) -> tuple[str, ...]:
    """Return the names of the columns: the fields that pass through are sorted."""
    fields = {name for each in known for name in each.fields} - {"path", target}
    own = fields & set(OWN_COLUMNS)
    passed = sorted(fields - own) if len(fields - own) <= _MOST_FIELDS else []
    return ("path", target, *sorted(own | {"group"}), *passed)


def _described(with_items: Mapping[str, _Sample], lost: Mapping[str, _Sample]) -> list[str]:
    """Return what a person should know of how files were taken."""
    warnings = []
    if lost:
        first = min(path for each in lost.values() for path in each.parts.values())
        warnings.append(
            f"{len(lost)} samples have no {item_noun()}, and do not count; first: {first!r}"
        )
    several = {key: each for key, each in with_items.items() if len(each.items) > 1}
    if several:
        named = " and ".join(map(repr, min(several.items())[1].items[:2]))
        warnings.append(
            f"{len(several)} samples have several {item_nouns()}, such as {named}: each is an item "
            "with the sample's label, and they stay in one split"
        )
    masks = Counter(
        path.rpartition("/")[2].partition(".")[2]
        for each in with_items.values()
        for path in each.masks
    )
    if masks:
        named = ", ".join(f"{name} {n}" for name, n in sorted(masks.items()))
        warnings.append(
            f"{item_nouns()} that only describe others of their sample are no items: {named}"
        )
    return warnings


def _without_labels(
    raw: Path, samples: Mapping[str, _Sample], known: Mapping[str, _Known], target: str
) -> DataError:
    """Return that the samples have no label, and what they have."""
    key, first = next(iter(samples.items()))
    faults = [each.fault for each in known.values() if each.fault]
    if faults:
        return DataError(
            raw,
            f"no sample has a label: {faults[0]}",
            remedy="is data.target what labels are called?",
        )
    parts = ", ".join(f".{name}" for name in sorted(first.parts))
    fields = ", ".join(map(repr, list(known[key].fields)[:_SHOWN])) or "none"
    return DataError(
        raw,
        f"is a WebDataset without labels: {key!r} has no .cls and no field {target!r} in its "
        f".json, but {parts}; fields of its .json: {fields}",
        remedy="write the field, or the end of the file's name (txt), as data.target, or add "
        "labels.csv with the columns path and label",
    )
