"""Small raw folders of texts with known content, for the tests of cleaning."""

from pipeline.clean.case import Rules
from pipeline.clean.near import NearRule
from pipeline.clean.run import clean_items
from pipeline.clean.table import list_items
from pipeline.compute.engine import MachineParams
from pipeline.manifest.params import SplitParams
from pipeline.raw.item import Item, RawItems
from pipeline.text.read.params import TextCleanParams
from pipeline.text.read.reader import READER

SPLIT = SplitParams(seed=1, train=0.6, val=0.15, test=0.25, missing="carve", small_classes="train")
MACHINE = MachineParams.alone(workers=1, progress="none")


def text_params(**changes):
    """Give the section `clean` as a user would start with it, but for `changes`."""
    usual = {
        "ignore": [],
        "missing_label": "quarantine",
        "max_bad_frac": 0.5,
        "min_chars": 1,
        "max_chars": 1_000_000,
        "mask_digits": False,
        "language": None,
        "near_duplicates": "drop",
        "near_correlation": 0.8,
        "max_near_frac": 0.5,
        "leaks": "refuse",
        "metadata": "report",
    }
    return TextCleanParams(**usual | changes)


def text_items(raw, rows):
    """Write texts and name them: rows are (path, text or bytes, label), and a split or group."""
    items = []
    for path, text, label, *others in rows:
        file = raw / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(text if isinstance(text, bytes) else text.encode())
        named = dict(zip(("split", "group"), others, strict=False))
        items.append(Item(path=path, label=label, row=len(items), **named))
    items.sort(key=lambda item: item.path)
    return RawItems(tuple(items), "label file", modality="text")


def clean_texts(raw, rows, *, task="classification", decisions=None, split=SPLIT, **clean):
    """Write, probe and judge texts."""
    rules = Rules(task, text_params(**clean), split, decisions=decisions or {})
    return clean_items(raw, list_items(text_items(raw, rows)), rules, MACHINE)


def text_rule(policy="drop", *, correlation=0.8, task="classification"):
    """Give the rule for near-duplicates as `clean` makes it of params."""
    return NearRule(policy, correlation, {}, READER, task)


def words(number, length=12):
    """Give a text of words that no other number gives."""
    return " ".join(f"word{number}x{place}" for place in range(length))


def many_texts(count=60, *, labels=("bad", "good")):
    """Give rows of texts that are all different, half of each label."""
    return [
        (f"{number:03}.txt", words(number), labels[number % len(labels)]) for number in range(count)
    ]
