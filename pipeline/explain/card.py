"""The model card: what a model is, what it is worth, where it looks, and what it is not for.

It is built once, as sections of plain blocks, and written twice: as Markdown for a repository, as a
page for people. Nothing in it depends on the time or the machine; what nobody wrote is not stated.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import groupby
from pathlib import Path
from typing import Any, ClassVar

from pipeline.explain.card_text import CardText
from pipeline.explain.slices import Slice
from pipeline.explain.words import count_views, number
from pipeline.judge.gains import beside
from pipeline.judge.metrics import METRICS, main, shown
from pipeline.modality.files import files
from pipeline.modality.shown.explaining import explainer
from pipeline.modality.types.evidence import Explain, Legend, Sheet
from pipeline.model.bundle import Bundle
from pipeline.model.promise import flat, promise
from pipeline.weights.weights import BackboneRecord

NOT_STATED = "not stated"


@dataclass(frozen=True)
class Words:
    """Paragraphs; one that starts with `- ` is an item of a list."""

    kind: ClassVar = "words"
    paragraphs: Sequence[str]
    soft: bool = False

    @property
    def runs(self) -> list[tuple[bool, list[str]]]:
        """Paragraphs, and lists, which are told by True, in their order."""
        groups = groupby(filter(None, self.paragraphs), lambda text: text.startswith("- "))
        return [
            (is_list, [text[2:] if is_list else text for text in texts])
            for is_list, texts in groups
        ]


@dataclass(frozen=True)
class Table:
    """Rows of text below a head; columns from the second on are numbers where `numeric`."""

    kind: ClassVar = "table"
    head: Sequence[str]
    rows: Sequence[Sequence[str]]
    numeric: bool = True


@dataclass(frozen=True)
class Chart:
    """An image among the plots."""

    kind: ClassVar = "chart"
    file: Path
    told: str


@dataclass(frozen=True)
class Gallery:
    """Examples: shown on the page; in Markdown their sheets are named."""

    kind: ClassVar = "gallery"
    sheets: Sequence[Sheet[Any]]
    files: Sequence[Path]
    legend: Legend


Block = Words | Table | Chart | Gallery


@dataclass(frozen=True)
class Part:
    """A section of the card."""

    title: str
    blocks: Sequence[Block]


@dataclass(frozen=True)
class Card:
    """The whole."""

    title: str
    lead: str
    tiles: Sequence[tuple[str, str]]
    """A number and what it is: on top of the page."""

    warnings: Sequence[str]
    parts: Sequence[Part]


@dataclass(frozen=True)
class Facts:
    """What a card is made of.

    Attributes:
        data_name: Of the data set.
        counts: label -> split -> items; one row named `all` for regression.
        groups: Items that share a group with another one, in all splits.
        bundle: What ships.
        record: The weights that training started from.
        params: By section, the params that matter.
        metrics: metrics.json.
        report: report.json of this stage.
        text: What people wrote.
        digests: By file, SHA-256.
        plots: The folder of plots.
        sheets: The examples, in the order of their files.
        slices: Parts of the test split.
    """

    data_name: str
    counts: Mapping[str, Mapping[str, int]]
    groups: int
    bundle: Bundle
    record: BackboneRecord
    params: Mapping[str, Mapping[str, Any]]
    metrics: Mapping[str, Any]
    report: Mapping[str, Any]
    text: CardText
    digests: Mapping[str, str]
    plots: Path
    sheets: Sequence[Sheet[Any]]
    slices: Sequence[Slice]


def make_card(facts: Facts) -> Card:
    """Put the card together."""
    bundle = facts.bundle
    one, explain = files(bundle.modality).NOUN[0], explainer(bundle.modality)
    what = (
        " or ".join(bundle.classes)
        if 0 < len(bundle.classes) <= 4
        else (f"one of {len(bundle.classes)} classes" if bundle.classes else "a number")
    )
    warnings = [*facts.report["warnings"], *([facts.text.note] if facts.text.note else [])]
    parts = [
        _people(facts, "Intended use"),
        _people(facts, "Out of scope"),
        _people(facts, "Limits"),
        _worth(facts),
        *([_looks(facts, explain)] if explain else []),
        *([_calibration(facts), _abstention(facts)] if bundle.classes else [_values(facts)]),
        _slices(facts),
        _data(facts),
        _privacy(facts),
        _model(facts),
        _people(facts, "Contacts"),
        _digests(facts),
    ]
    return Card(
        facts.data_name,
        f"A {one} in, its {bundle.target} out: {what}. {bundle.architecture}, fine-tuned.",
        _tiles(facts, explain),
        warnings,
        parts,
    )


def _tiles(facts: Facts, explain: Explain | None) -> list[tuple[str, str]]:
    metrics, report = facts.metrics, facts.report
    name = main(metrics)
    interval = metrics["ci95"].get(name)
    spread = f", 95%: {number(interval['low'])} to {number(interval['high'])}" if interval else ""
    tiles = [
        (number(metrics[name]), f"{name}{spread}"),
        (number(metrics["baseline"][name]), f"{name} of the baseline"),
        (f"{metrics['n']:,}", "test items"),
    ]
    if "abstention" in report:
        most = report["abstention"]["at"]["0.8"]
        tiles.append((number(most["accuracy"]), "accuracy where the surest 80 % are answered"))
    return [*tiles, *(explain.tiles(report) if explain else [])]


def _people(facts: Facts, title: str) -> Part:
    return Part(title, [Words(facts.text.sections.get(title, (NOT_STATED,)))])


def _worth(facts: Facts) -> Part:
    metrics = facts.metrics
    rows = [
        [
            f"{name} ({METRICS[name].title})",
            number(metrics[name]),
            _interval(metrics["ci95"].get(name)),
            number(metrics["baseline"][name]) if name in metrics["baseline"] else "",
        ]
        for name in shown(metrics, place=3)
    ]
    baseline = "the commonest class of train" if facts.bundle.classes else "the mean of train"
    name = main(metrics)
    plain = f" Without transfer: {name} by {told}." if (told := beside(metrics, name)) else ""
    blocks: list[Block] = [
        Words(
            [
                f"On {metrics['n']:,} items of the test split, which neither chose an epoch nor a "
                f"temperature. The baseline always says {baseline}.{plain}"
            ],
            soft=True,
        ),
        Table(["metric", "value", "95 % interval", "baseline"], rows),
    ]
    if "per_class" in metrics:
        names = ("n", "precision", "recall", "f1", "roc_auc")
        blocks.append(
            Table(
                ["class", *names],
                [
                    [label, *(_cell(each.get(name)) for name in names)]
                    for label, each in metrics["per_class"].items()
                ],
            )
        )
    return Part("What it is worth", blocks)


def _looks(facts: Facts, explain: Explain) -> Part:
    return Part(
        explain.title,
        [
            Words([explain.about(facts.report)], soft=True),
            Words(explain.findings(facts.report)),
            Gallery(facts.sheets, _files(facts.plots, "sheet-*"), explain.legend()),
        ],
    )


def _calibration(facts: Facts) -> Part:
    found = facts.report["calibration"]
    rows = [
        [told, number(found[name]["ece"]), _interval(found[name])]
        for name, told in (
            ("before", "before the temperature"),
            ("after", "after, as served"),
            ("change", "change"),
        )
    ]
    words = (
        f"The temperature is {found['temperature']:.3f}, {_fitted(facts.bundle)}. An "
        "error of 0 means that of the answers given with 90 % confidence 90 % are right. The "
        "error of few items is never 0: chance alone moves each bin."
    )
    return Part(
        "Can its confidence be believed?",
        [
            Words([words], soft=True),
            Table(["calibration error", "value", "95 % interval"], rows),
            Chart(facts.plots / "reliability.png", "accuracy over confidence, before and after"),
        ],
    )


def _fitted(bundle: Bundle) -> str:
    return "fitted on the validation split" if bundle.privacy is None else "and was not fitted"


def _abstention(facts: Facts) -> Part:
    found = facts.report["abstention"]
    rows = [
        [
            f"{float(share):.0%}",
            number(each["accuracy"]),
            _interval(each),
            f"{each['confidence']:.3f}",
        ]
        for share, each in found["at"].items()
    ]
    rows.insert(
        0,
        [
            "100%",
            number(facts.metrics["accuracy"]),
            _interval(facts.metrics["ci95"].get("accuracy")),
            "",
        ],
    )
    return Part(
        f"What is gained by leaving unsure {files(facts.bundle.modality).NOUN[1]} to a person",
        [
            Table(["answered", "accuracy", "95 % interval", "from a confidence of"], rows),
            Chart(facts.plots / "abstention.png", "accuracy over the share that is answered"),
        ],
    )


def _values(facts: Facts) -> Part:
    left_out = facts.report["left_out"]
    return Part(
        "Errors",
        [
            Chart(facts.plots / "predicted.png", "predicted over actual values"),
            Chart(facts.plots / "residuals.png", "errors over predicted values"),
            Words([f"Left out: {name}: {why}." for name, why in left_out.items()], soft=True),
        ],
    )


def _slices(facts: Facts) -> Part:
    found = facts.report["slices"]
    blocks: list[Block] = [Words([found["text"]])]
    if facts.slices:
        rows = [
            [
                each.name,
                f"{each.n:,}",
                _cell(each.score),
                _interval(asdict(each)),
                _change(each),
                each.claim,
            ]
            for each in facts.slices
        ]
        head = ["slice", "n", found["measure"], "95 % interval", "less the rest", "claim"]
        blocks += [Table(head, rows), Chart(facts.plots / "slices.png", "each slice")]
    return Part("Parts of the test split", blocks)


def _data(facts: Facts) -> Part:
    splits = ("train", "val", "test")
    rows = [
        [label, *(f"{counts.get(split, 0):,}" for split in splits)]
        for label, counts in facts.counts.items()
    ]
    total = [str(sum(counts.get(split, 0) for counts in facts.counts.values())) for split in splits]
    if len(rows) > 1:
        rows.append(["all", *(f"{int(each):,}" for each in total)])
    grouped = (
        f"{facts.groups:,} items share a group with another one; groups are never split."
        if facts.groups
        else f"No item has a group: the split is by {files(facts.bundle.modality).NOUN[0]}."
    )
    license_ = " ".join(facts.text.sections.get("Data license", (NOT_STATED,)))
    return Part(
        "Data",
        [
            Table(["class" if facts.bundle.classes else "", *splits], rows),
            Words([grouped, f"License: {license_}"]),
        ],
    )


def _model(facts: Facts) -> Part:
    bundle, record = facts.bundle, facts.record
    rows = [
        [
            "architecture",
            f"{bundle.architecture}, {record.num_parameters:,} parameters without the "
            f"head, pooling {bundle.pooling}",
        ],
        ["starts from", record.source],
        ["license of these weights", record.expected.license or NOT_STATED],
        ["sha256 of these weights", record.sha256 or "none: a random start"],
        ["input", bundle.decode.told()],
        ["a prediction", f"mean over {count_views(len(bundle.views))}, {bundle.precision}"],
    ]
    params = [
        [f"{section}.{name}", _param(value)]
        for section, values in facts.params.items()
        for name, value in values.items()
    ]
    return Part(
        "Model",
        [Table(["", ""], rows, numeric=False), Table(["param", "value"], params, numeric=False)],
    )


def _privacy(facts: Facts) -> Part:
    privacy = facts.bundle.privacy
    if privacy is None:
        return Part("Privacy", [Words(["Nothing is promised: the model may remember its items."])])
    rows = [[name.replace("_", " "), _param(value)] for name, value in flat(privacy).items()]
    words = (
        f"Differential privacy: {promise(privacy)}. It holds for the model and its bundle. Figures "
        "and examples on this card are of val and test, and are exact."
    )
    return Part("Privacy", [Words([words]), Table(["", ""], rows, numeric=False)])


def _digests(facts: Facts) -> Part:
    rows = [[name, digest] for name, digest in facts.digests.items()]
    words = "SHA-256 of the files that this card tells of; rootstock lineage finds their origin."
    return Part(
        "Digests", [Words([words], soft=True), Table(["file", "sha256"], rows, numeric=False)]
    )


def _files(folder: Path, pattern: str) -> list[Path]:
    return sorted(folder.glob(pattern))


def _interval(found: Mapping[str, Any] | None) -> str:
    if not found or found.get("low") is None:
        return ""
    return f"{number(found['low'])} to {number(found['high'])}"


def _change(found: Slice) -> str:
    if found.difference is None:
        return ""
    spread = ""
    if found.difference_low is not None and found.difference_high is not None:
        spread = f" ({found.difference_low:+.3f} to {found.difference_high:+.3f})"
    return f"{found.difference:+.3f}{spread}"


def _cell(value: float | None) -> str:
    if value is None:
        return ""
    return f"{value:,}" if isinstance(value, int) else number(value)


def _param(value: Any) -> str:
    if isinstance(value, bool) or value is None:
        return {True: "true", False: "false", None: "null"}[value]
    return str(value)
