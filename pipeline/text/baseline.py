"""TF-IDF and a linear model: what a text classifier is without transfer.

Terms are words and pairs of words, and runs of three to five characters within words. A sign is a
word, and so is every character of a script that puts no blanks between words.

Axes: N = texts that are fitted to, M = texts that are asked for, K = outputs, T = terms.
"""

import warnings
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.sparse import csr_matrix, hstack
from sklearn.exceptions import ConvergenceWarning
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression, Ridge
from threadpoolctl import threadpool_limits

from pipeline.ground.seeds import deal, pick
from pipeline.manifest.manifest import group_names
from pipeline.modality.types.protocols import Floats, Known
from pipeline.store.shards import Rows
from pipeline.store.store import Store

STRENGTHS = (0.25, 1.0, 4.0, 16.0)
"""Inverse penalties on squared weights that are tried, from a strong penalty to a weak one."""

FOLDS = 4
MOST_ITEMS = 32_768
"""Texts that are fitted to, at most; it bounds time and memory."""

MOST_TRIED = 4096
"""Of these, texts by which the strength is chosen, at most."""

_UNSPACED = (
    "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff"  # Thai, Lao, Burmese, Khmer
    "\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"  # kana, Han
)
_WORD = rf"[{_UNSPACED}]|[^\W{_UNSPACED}]+|[^\w\s]"
_TERMS: Sequence[dict[str, Any]] = (
    {"token_pattern": _WORD, "ngram_range": (1, 2)},
    {"analyzer": "char_wb", "ngram_range": (3, 5)},
)
_CHUNK = 1024
_TINY = 1e-15


class TfidfBaseline:
    """Fit to what is known, answer what is asked: `pipeline.modality.types.protocols.Baseline`."""

    name = "tfidf"

    def answers(
        self, store: Store, known: Known, asked: Rows, *, classes: int, seed: int
    ) -> Floats:
        """Return probabilities [M, K], or values [M, 1]; the same bytes for any number of cores."""
        index = store.index.iloc[known.rows]
        weights = index["weight"].to_numpy(dtype=np.float64)
        kept = np.flatnonzero(weights > 0)
        kept = kept[pick(list(index["id"].iloc[kept]), MOST_ITEMS, seed, "baseline")]
        groups = list(group_names(index.iloc[kept]))
        with threadpool_limits(1, user_api="blas"), warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            fitted, wanted = _measure(_texts(store, known.rows[kept]), _texts(store, asked))
            shares = weights[kept] / weights[kept].mean()
            model = _Linear(known.targets[kept], shares, classes, seed)
            tried = pick(groups, MOST_TRIED, seed, "baseline tried")
            folds = deal([groups[each] for each in tried], FOLDS, seed, "baseline fold")
            strength = model.choose(fitted, tried, folds)
            return model.answers(fitted, np.arange(len(kept)), wanted, strength)


class _Linear:
    """Logistic regression of each class against the rest, or ridge regression."""

    def __init__(self, targets: npt.NDArray[Any], weights: Floats, classes: int, seed: int) -> None:
        self._targets, self._weights = targets, weights
        self._classes, self._seed = classes, seed % 2**32

    def choose(self, known: csr_matrix, tried: Rows, folds: Rows) -> float:
        """Return the strength with the lowest loss on folds that it was not fitted to."""
        losses = np.zeros(len(STRENGTHS))
        for fold in range(FOLDS):
            fitted, held = tried[folds != fold], tried[folds == fold]
            if len(fitted) and len(held):
                losses += [
                    self._loss(self.answers(known, fitted, known[held], each), held)
                    for each in STRENGTHS
                ]
        return STRENGTHS[int(np.argmin(losses))]

    def answers(
        self, known: csr_matrix, fitted: Rows, wanted: csr_matrix, strength: float
    ) -> Floats:
        """Fit to some rows of `known`, and answer all of `wanted`."""
        rows = known[fitted]
        if not self._classes:
            ridge = Ridge(alpha=1.0 / strength, solver="sparse_cg", tol=1e-4)
            ridge.fit(rows, self._targets[fitted], sample_weight=self._weights[fitted])
            return np.asarray(ridge.predict(wanted))[:, np.newaxis]
        if self._classes == 2:
            chance = self._chance(rows, fitted, wanted, 1, strength)
            return np.stack([1.0 - chance, chance], axis=1)
        each = [
            self._chance(rows, fitted, wanted, number, strength) for number in range(self._classes)
        ]
        chances = np.stack(each, axis=1)
        return np.asarray(chances / chances.sum(axis=1, keepdims=True))

    def _chance(
        self, rows: csr_matrix, fitted: Rows, wanted: csr_matrix, number: int, strength: float
    ) -> Floats:
        """Return how probable one class is against all others, [M]."""
        is_class = self._targets[fitted] == number
        if is_class.all() or not is_class.any():
            return np.full(wanted.shape[0], float(is_class[0]))
        logistic = LogisticRegression(
            C=strength, solver="liblinear", dual=True, max_iter=1000, random_state=self._seed
        )
        logistic.fit(rows, is_class, sample_weight=self._weights[fitted])
        return np.asarray(logistic.predict_proba(wanted)[:, 1])

    def _loss(self, answers: Floats, held: Rows) -> float:
        targets = self._targets[held]
        if self._classes:
            losses = -np.log(np.maximum(answers[np.arange(len(held)), targets], _TINY))
        else:
            losses = np.square(answers[:, 0] - targets)
        return float((losses * self._weights[held]).sum())


def _texts(store: Store, rows: Rows) -> list[str]:
    """Return the texts of rows of the store."""
    return [
        row.tobytes().rstrip(b"\0").decode(errors="replace")
        for start in range(0, len(rows), _CHUNK)
        for row in store.read(rows[start : start + _CHUNK])
    ]


def _measure(known: Sequence[str], asked: Sequence[str]) -> tuple[csr_matrix, csr_matrix]:
    """Return [N, T] and [M, T]; terms that at least two of the N have, weighed by how rare."""
    tables = []
    for split in analyzers():

        def analyze(text: str, split: Callable[[str], list[str]] = split) -> list[str]:
            return ["", *split(text)]  # so that every text has a term

        vectorizer = TfidfVectorizer(analyzer=analyze, sublinear_tf=True, min_df=min(2, len(known)))
        tables.append((vectorizer.fit_transform(known), vectorizer.transform(asked)))
    first, second = (hstack(parts, format="csr") for parts in zip(*tables, strict=True))
    return first, second


def analyzers() -> list[Callable[[str], list[str]]]:
    """Return what finds the terms of a text, in its order: words with pairs, and runs."""
    return [TfidfVectorizer(**terms).build_analyzer() for terms in _TERMS]


BASELINE = TfidfBaseline()
