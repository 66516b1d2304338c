# ruff: noqa: RUF001 (words of many scripts)
"""The language of a text, where its script or its commonest words tell it: no model, no guess.

A script that one language here uses tells it. Of those that share a script, each has a few very
common words and some letters; a word that several have counts less. Where the best is weak, or
little better than the second, the answer is `UNSURE`: so it is for many texts of few words.
"""

import re
from collections import Counter
from collections.abc import Mapping
from functools import cache
from itertools import chain

UNSURE = "und"
"""No language is sure."""

_BY_SCRIPT = {
    "Grek": "el",
    "Armn": "hy",
    "Hebr": "he",
    "Deva": "hi",
    "Beng": "bn",
    "Taml": "ta",
    "Thai": "th",
    "Geor": "ka",
    "Hang": "ko",
}
_SCRIPTS = {
    "Latn": r"a-z\u00aa\u00ba\u00df-\u00f6\u00f8-\u024f\u1e00-\u1eff",
    "Grek": r"\u0370-\u03ff\u1f00-\u1fff",
    "Cyrl": r"\u0400-\u052f",
    "Armn": r"\u0531-\u0587",
    "Hebr": r"\u05d0-\u05ea",
    "Arab": r"\u0620-\u06ff\u0750-\u077f\ufb50-\ufdff\ufe70-\ufefc",
    "Deva": r"\u0900-\u097f",
    "Beng": r"\u0980-\u09ff",
    "Taml": r"\u0b80-\u0bff",
    "Thai": r"\u0e00-\u0e7f",
    "Geor": r"\u10a0-\u10ff",
    "Hang": r"\u1100-\u11ff\uac00-\ud7a3",
    "Kana": r"\u3040-\u30ff\uff66-\uff9f",
    "Hani": r"\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003134f",
}
_COMMON = {
    "Latn": {
        "en": "the and of to is was it that this with for you not are have but they from what be "
        "as at by an or which were who how he she his her i my we in on a no so do me if had come "
        "would don't it's",
        "de": "der die das und ist nicht ein eine den dem mit zu von auf für ich sie es im auch "
        "sich wie aber wir war bei nach so als in an",
        "fr": "le la les des et est une un du que qui pas dans pour ce il elle je nous vous sur "
        "avec au mais ne se sont en de a",
        "es": "el la los las de que y en un una es no por con para se del al lo como más pero muy "
        "su está este",
        "it": "il lo la gli le di che e un una è non per con del della sono si ma come questo più "
        "anche nel da in i a",
        "pt": "o a os as de que e do da em um uma é não para com por se no na mais como mas muito "
        "foi dos ao eu",
        "nl": "de het een en van is niet dat op te in ik zijn voor met die er aan maar ook als "
        "wat naar heb was",
        "sv": "och att det är som en på inte för av med jag den till har var ett men om i de så "
        "kan vi",
        "da": "og at det er som en på ikke for af med jeg den til har var et men om i de så kan "
        "vi der",
        "pl": "i w nie na się z jest to że do jak ale po co tak za od o są był dla ma przez",
        "tr": "ve bir bu da de için çok ne ile ama gibi daha var olarak en mi ben o kadar değil",
        "ro": "și în de la nu cu a pe este o un din care că mai să se pentru dar sunt au ce",
        "id": "yang dan di ini itu dengan untuk tidak dari ke pada adalah saya akan juga ada "
        "sudah bisa kami",
        "fi": "ja on ei se että oli hän mutta ovat kun niin myös tämä olen joka kuin minä",
        "cs": "a je se v na že to z do o i ale jak by jsem po tak za pro jsou není",
        "vi": "là và của có không được cho một những trong này với người tôi đã rất các",
    },
    "Cyrl": {
        "ru": "и в не на что я с он как это по но из у за его то все она так было был ещё очень",
        "uk": "і в не на що я з він як це та у до за його але від дуже був й є про",
        "bg": "и в не на че с се за да е от като това по но много съм са беше ще",
    },
    "Arab": {
        "ar": "في من على إلى أن هذا التي عن مع ما لا كان هذه كل هو الذي و",
        "fa": "و در به از که این را با است برای آن تا یک هم می بود شد",
        "ur": "کے میں کی ہے اور سے کا کو اس نے پر یہ ہیں کہ بھی تھا",
    },
}
_LETTERS = {
    "Latn": {
        "de": "ß",
        "es": "ñ¿¡",
        "pt": "ãõ",
        "da": "æø",
        "pl": "łśźżńę",
        "tr": "ığş",
        "ro": "țșţ",
        "cs": "řěů",
        "vi": "đơưạảấầẩẫậắằẳẵặẹẻẽếềểễệỉịọỏốồổỗộớờởỡợụủứừửữựỳỵỷỹ",
    },
    "Cyrl": {"ru": "ыэё", "uk": "іїєґ"},
    "Arab": {"ur": "ٹڈڑےھں"},
}
LANGUAGES = tuple(
    sorted({*_BY_SCRIPT.values(), "ja", "zh", *(each for few in _COMMON.values() for each in few)})
)
"""All that can be told, as ISO 639-1."""

_FEW = 1.5
"""Smallest weight of the best language."""

_BETTER = 1.5
"""Smallest ratio to the second one."""

_SHARE = 0.1
"""Smallest weight of the best language for each word."""

_READ_CHARS = 4_000
"""The beginning of a text that is looked at."""

_BEYOND_LATIN = re.compile("|".join(f"(?P<{name}>[{of}])" for name, of in _SCRIPTS.items()))
_WORDS = re.compile(r"[^\W\d_]+(?:['’][^\W\d_]+)?")

_Telling = dict[str, tuple[tuple[str, float], ...]]


def find_language(text: str) -> str:
    """Return the language of a text, one of `LANGUAGES`, or `UNSURE`."""
    text = text[:_READ_CHARS].casefold()
    script = _script(text)
    if script in _BY_SCRIPT:
        return _BY_SCRIPT[script]
    if script in ("ja", "zh"):
        return script
    return _by_words(text, script) if script in _COMMON else UNSURE


def _script(text: str) -> str:
    """Return the script that most letters are of, or the language of Han and Kana."""
    if text.isascii():
        return "Latn"
    counts = Counter(found.lastgroup for found in _BEYOND_LATIN.finditer(text))
    signs = counts["Hani"] + counts["Kana"]
    # A sign of these two is a word, or half of one.
    if signs and 3 * signs >= counts["Latn"] and signs >= counts["Hang"]:
        return "ja" if 8 * counts["Kana"] >= signs else "zh"
    del counts["Hani"], counts["Kana"]
    script, n = max(counts.items(), key=lambda each: (each[1], str(each[0])), default=("", 0))
    return str(script) if 2 * n > counts.total() else ""


def _by_words(text: str, script: str) -> str:
    words = _WORDS.findall(text)
    weights = dict.fromkeys(_COMMON[script], 0.0)
    for each in chain(
        (_telling(script).get(word, ()) for word in words),
        (_telling_letters(script).get(letter, ()) for letter in text if letter > "\x7f"),
    ):
        for language, weight in each:
            weights[language] += weight
    (best, most), (_, second) = sorted(weights.items(), key=lambda each: (-each[1], each[0]))[:2]
    is_sure = most >= max(_FEW, _SHARE * len(words)) and most >= _BETTER * second
    return best if is_sure else UNSURE


@cache
def _telling(script: str) -> _Telling:
    return _weigh({language: words.split() for language, words in _COMMON[script].items()})


@cache
def _telling_letters(script: str) -> _Telling:
    return _weigh({language: list(letters) for language, letters in _LETTERS[script].items()})


def _weigh(lists: Mapping[str, list[str]]) -> _Telling:
    """Return, by word or letter, the languages that have it, and what it counts for each."""
    found: dict[str, list[str]] = {}
    for language, those in lists.items():
        for each in those:
            found.setdefault(each, []).append(language)
    return {each: tuple((one, 1.0 / len(of)) for one in of) for each, of in found.items()}
