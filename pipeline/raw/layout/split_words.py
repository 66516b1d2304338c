"""What people call the splits: as a word, and as the name of a folder."""

import re
import unicodedata
from collections.abc import Collection, Iterable
from functools import lru_cache
from typing import NamedTuple

_WORDS = {
    "train": "train trn tr training trainings train_val trainval training_validation train_dev "
    "entrenamiento entrainement apprentissage treino treinamento addestramento 训练 訓練",
    "val": "val va vl valid validation validate validating validations dev devel development eval "
    "evaluation evaluate public_test cross_validation validierung validacion validacao "
    "validazione 验证 驗證",
    "test": "test te tst ts testing tests holdout hold_out heldout held_out unseen private_test "
    "prueba pruebas teste 测试 測試",
}
"""Words that stand for a split; `_` is any separator, or none."""

SPLIT_NAMES = tuple(_WORDS)

_EITHER = frozenset({"eval", "evaluation", "evaluate"})
"""Beside a split named as test these are val; else they are test."""

_FILLERS = (
    "set sets data dataset datasets daten image images img imgs pic pics picture pictures "
    "photo photos jpg jpeg jpegs png pngs split splits folder folders dir directory file files "
    "sample samples subset part parts raw original originals orig final full all cropped crop "
    "crops resized resize processed preprocessed augmented augmentation aug labeled labelled "
    "unlabeled unlabelled unknown unclassified unsorted "
    "version 集"
)
"""Words beside a split's word that change nothing."""

_BESIDE = (
    "annotation annotations label labels mask masks bbox bboxes gt ground_truth prediction "
    "predictions pred preds output outputs result results doc docs documentation metadata meta "
    "submission submissions"
)
"""Words of folders that lie beside items, and are seldom classes."""

_PARTS = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[^\W\d_A-Za-z]+|\d+")
_NUMBER = r"(?:v ?)?\d+(?: ?x ?\d+)?"
_SHORTEST = 3
"""Letters of a word that may be joined to another without a separator: `trainset`, not `trim`."""


def _either(words: Iterable[str]) -> str:
    longest_first = sorted(words, key=lambda word: (-len(word), word))
    return "|".join(word.replace("_", " ?") for word in longest_first)


_MEANINGS = {word: split for split, words in _WORDS.items() for word in words.split()}
_WORD = _either(_MEANINGS)
_LONG = _either(word for word in _MEANINGS if len(word) >= _SHORTEST or not word.isascii())
_FILLER = rf"(?:{_either(_FILLERS.split())}|{_NUMBER})"
_WHOLE = (
    re.compile(rf"(?:{_FILLER} ?)*(?P<word>{_LONG})(?: ?{_FILLER})*"),
    re.compile(rf"(?:{_FILLER} )*(?P<word>{_WORD})(?: {_FILLER})*"),
)
_NOTHING = re.compile(rf"(?:{_either(_FILLERS.split())})(?: {_FILLER})*")
_ASIDE = re.compile(rf"(?:{_FILLER} )*(?:{_either(_BESIDE.split())})(?: {_FILLER})*")
_WITHIN = re.compile(rf"(?<!\S)(?P<word>{_WORD})(?!\S)")
_BY_LETTERS = {word.replace("_", ""): split for word, split in _MEANINGS.items()}


class SplitFolder(NamedTuple):
    """What a folder's name says of a split.

    Attributes:
        split: `train`, `val` or `test`.
        rest: The words of the name that say something else; empty where there are none.
        may_be_either: The word is used for val and for test alike.
    """

    split: str
    rest: str
    may_be_either: bool


@lru_cache(maxsize=4096)
def split_name(text: str) -> str | None:
    """Return `train`, `val` or `test` for one word that stands for it, in any case, else None."""
    found = re.fullmatch(_WORD, _plain(text))
    return _meaning(found.group()) if found else None


def split_in_column(cell: str) -> str | None:
    """Return the split that a cell says, perhaps with words that add nothing: `training set`."""
    folder = split_folder(cell)
    return split_name(cell) or (folder.split if folder and not folder.rest else None)


@lru_cache(maxsize=4096)
def split_folder(name: str) -> SplitFolder | None:
    """Read the name of a folder as that of a split, else return None.

    `train_images`, `ValidationSet` and `test2017` say nothing but a split. `seg_train` says `seg`,
    too: whether that is a split, its neighbors must tell. `test_tube` says `tube`.
    """
    plain = _plain(name)
    for pattern in _WHOLE:
        if whole := pattern.fullmatch(plain):
            return _folder(whole["word"], "")
    within = list(_WITHIN.finditer(plain))
    if len(within) != 1:
        return None
    start, end = within[0].span()
    return _folder(within[0]["word"], f"{plain[:start].strip()} {plain[end:].strip()}".strip())


def split_of_folder(name: str) -> str | None:
    """Return the split that a folder's whole name says, else None."""
    folder = split_folder(name)
    return folder.split if folder and not folder.rest else None


def read_split_folders(names: Iterable[str]) -> dict[str, SplitFolder]:
    """Read names of folders that lie side by side; those that name no split are left out."""
    found = {name: folder for name in names if (folder := split_folder(name))}
    has_test = any(each.split == "test" and not each.may_be_either for each in found.values())
    return {
        name: each._replace(split="val") if each.may_be_either and has_test else each
        for name, each in found.items()
    }


def name_splits(names: Collection[str]) -> bool:
    """Return whether folders side by side are all named as splits, train among them."""
    words = read_split_folders(names)
    splits = {each.split for each in words.values() if not each.rest}
    return "train" in splits and len(splits) > 1 and len(words) == len(names)


def is_filler(name: str) -> bool:
    """Return whether a folder's name says only that there are files: `images`, `data_2`."""
    return _NOTHING.fullmatch(_plain(name)) is not None


def is_beside_items(name: str) -> bool:
    """Return whether a folder is named as what lies beside items: `annotations`, `masks`."""
    return _ASIDE.fullmatch(_plain(name)) is not None


def _plain(name: str) -> str:
    """Return a name's words in small letters, without accents, with a blank between them."""
    if not name.isascii():
        letters = unicodedata.normalize("NFKD", name)
        name = "".join(each for each in letters if not unicodedata.combining(each))
    return " ".join(_PARTS.findall(name)).lower()


def _folder(word: str, rest: str) -> SplitFolder:
    may_be_either = word in _EITHER
    return SplitFolder("test" if may_be_either else _meaning(word), rest, may_be_either)


def _meaning(word: str) -> str:
    return _BY_LETTERS[word.replace(" ", "")]
