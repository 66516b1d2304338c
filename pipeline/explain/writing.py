"""The model card from what the stages wrote: gathered, and written as Markdown and as a page."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from pipeline.explain.card import Facts, make_card
from pipeline.explain.card_markdown import card_markdown
from pipeline.explain.card_page import card_page
from pipeline.explain.card_text import CardText
from pipeline.explain.run import Explained
from pipeline.ground.files import read_json, sha256_file, write_text
from pipeline.ground.params import Section
from pipeline.judge.answers import Subject
from pipeline.manifest.manifest import SPLITS
from pipeline.model.bundle import Bundle
from pipeline.weights.weights import BackboneRecord

_TOLD = {
    "train": (
        "strategy",
        "start",
        "epochs",
        "batch_size",
        "dropout",
        "batch_norm",
        "ema",
        "mixup",
        "cutmix",
        "test_views",
        "monitor",
    ),
    "optim": ("name", "lr", "weight_decay", "layer_decay"),
    "loss": ("name", "label_smoothing", "class_weights", "sample_weights"),
    "augment": ("hflip", "vflip", "transpose", "crop_min_frac", "brightness", "contrast"),
}
"""The params that a reader of the card needs; params.yaml has all."""


@dataclass(frozen=True)
class Sources:
    """What a card tells of, besides the subject: `data.path`, people's words, and files."""

    data: str
    text: CardText
    bundle: Path
    record: Path
    metrics: Path
    predictions: Path
    plots: Path


def write_card(
    sections: Mapping[str, Section],
    sources: Sources,
    subject: Subject,
    explained: Explained,
    *,
    card: Path,
    page: Path,
) -> None:
    """Write the card as Markdown and as a page; equal results give equal bytes.

    Args:
        sections: By name, the sections of params.yaml that it tells of.
        sources: Files.
        subject: The model and its answers.
        explained: What was found.
        card: The Markdown file.
        page: The HTML file.

    Raises:
        DataError: A file is missing.
    """
    made = make_card(_gather(sections, sources, subject, explained))
    write_text(card, card_markdown(made, card.parent))
    write_text(page, card_page(made))


def _gather(
    sections: Mapping[str, Section], sources: Sources, subject: Subject, explained: Explained
) -> Facts:
    raw, store, bundle = Path(sources.data), subject.store, subject.answers.bundle
    digests = {
        path.name: sha256_file(path)
        for path in (
            subject.model,
            sources.bundle,
            store.folder / "store.json",
            sources.predictions,
            sources.metrics,
        )
    }
    return Facts(
        data_name=raw.parent.name if raw.name == "raw" else raw.name,
        counts=_counts(store.index, bundle),
        groups=int(store.index["group"].dropna().duplicated(keep=False).sum()),
        bundle=bundle,
        record=BackboneRecord.load(sources.record),
        params={name: _told(section, _TOLD[name]) for name, section in sections.items()},
        metrics=read_json(sources.metrics),
        report=explained.report,
        text=sources.text,
        digests=digests,
        plots=sources.plots,
        sheets=explained.sheets,
        slices=explained.slices,
    )


def _counts(index: pd.DataFrame, bundle: Bundle) -> dict[str, dict[str, int]]:
    labels = list(bundle.classes) or ["items"]
    found = index["label"] if bundle.classes else pd.Series("items", index=index.index)
    return {
        label: {
            split: int(((index["split"] == split) & (found == label)).sum()) for split in SPLITS
        }
        for label in labels
    }


def _told(section: Section, names: tuple[str, ...]) -> dict[str, Any]:
    known = type(section).model_fields
    return {name: getattr(section, name) for name in names if name in known}
