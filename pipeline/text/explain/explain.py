"""What explains the answers of models of texts: the weights of words, and checks of them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.compute.engine import MachineParams
from pipeline.explain.checks import LEVELS
from pipeline.explain.examples import choose_examples, sheet_files, short, told
from pipeline.judge.answers import Answers, Subject
from pipeline.judge.resampling import Bootstrap
from pipeline.modality.types.evidence import Evidence, Legend, Sheet
from pipeline.modality.types.params import ExplainParams
from pipeline.model.bundle import Predictor
from pipeline.raw.visible import visible
from pipeline.store.shards import Array
from pipeline.text.explain import findings
from pipeline.text.explain.drawing import Tile, word_sheet
from pipeline.text.explain.look import Look, check, describe, look
from pipeline.text.explain.marked import lay_out, source, strip
from pipeline.text.explain.occlusion import METHOD, Weighed, weigh


@dataclass(frozen=True)
class Example:
    """A text with the weights of its words, as it is shown."""

    weighed: Weighed
    name: str
    told: str

    def shots(self) -> list[tuple[str, str]]:
        """Return the source of its image for a page, and what it shows."""
        return [(source(self.weighed), "with its words marked")]


class TextExplain:
    """Texts behind the protocol `Explain`."""

    title = "Which words it reads"

    def one(self, predictor: Predictor, row: Array) -> dict[str, Any]:
        """Predict one text, and weigh its words."""
        rows = row[np.newaxis]
        values = predictor.predict(rows, pad=False)
        answer = predictor.table(values).iloc[0]
        own = ("label", "confidence") if predictor.bundle.classes else ("value",)
        (found,) = weigh(predictor, rows, values.argmax(axis=1), pad=False)
        return {
            **{name: answer[name] for name in own},
            "seen": found.text,
            "spans": [list(span) for span in found.spans],
            "weights": found.weights_W.tolist(),
            "method": METHOD,
        }

    def look(
        self, subject: Subject, params: ExplainParams, machine: MachineParams, bootstrap: Bootstrap
    ) -> Evidence:
        """Weigh the words of the test split, and check some texts."""
        answers = subject.answers
        found = look(subject, params, machine)
        checks = check(subject, found, params)
        measured = {
            **{f"correlation_{level}": checks.correlations[level] for level in LEVELS},
            "lost_heaviest": checks.fall.most,
            "lost_others": checks.fall.elsewhere,
        }
        columns = {
            "words": np.array([len(each.spans) for each in found.weighed], dtype=np.int64),
            "heaviest": np.array([_heaviest(each) for each in found.weighed], dtype=object),
        }
        for name, values in measured.items():
            columns[name] = np.full(len(found.places_N), np.nan)
            columns[name][checks.places_C] = values

        def make(number: int) -> Example:
            return _example(answers, found, number)

        examples = choose_examples(
            answers,
            found.places_N,
            params.shown,
            make,
            of_class="which words it reads",
            of_values="words that raise the value",
        )
        report = describe(answers, found, checks, params, bootstrap)
        return Evidence(report, found.places_N, columns, examples)

    def warnings(self, report: Mapping[str, Any]) -> list[str]:
        """Return what must not be overlooked."""
        return findings.warnings(report)

    def findings(self, report: Mapping[str, Any]) -> list[str]:
        """Return which words weigh most, whether that depends on the model, and it on them."""
        return findings.findings(report)

    def about(self, report: Mapping[str, Any]) -> str:
        """Return how words were weighed."""
        looking = report["looking"]
        return (
            "Each word is left out, and the fall of the answer is its weight (occlusion): of the "
            "logarithm of the answer's probability, or of the value. "
            f"{looking['items']:,} texts of {looking['words']:.1f} words on average; where there "
            "are many, neighbors are left out together."
        )

    def tiles(self, report: Mapping[str, Any]) -> list[tuple[str, str]]:
        """Return how much the model needs the words that weigh most."""
        found = report["left_out_words"]
        share = f"{found['share']:.0%}"
        return [
            (
                f"{found['difference']['mean']:.2f}",
                f"falls the answer more without the {share} of words that weigh most than without "
                "others",
            )
        ]

    def legend(self) -> Legend:
        """Return what the colors of words mean."""
        return Legend(strip(), "from what spoke against the answer that the model gave to what for")

    def write_sheets(self, folder: Path, sheets: Sequence[Sheet[Example]]) -> None:
        """Write an SVG for each sheet."""
        for file, sheet in zip(sheet_files(folder, sheets, ".svg"), sheets, strict=True):
            parts = [
                (part.title(), [_tile(each) for each in part.examples]) for part in sheet.parts
            ]
            word_sheet(file, parts, title=sheet.title)


def _example(answers: Answers, found: Look, number: int) -> Example:
    row = answers.table.iloc[int(found.places_N[number])]
    return Example(
        found.weighed[number],
        short(visible(str(row["path"]))),
        told(row, is_classes=answers.is_classes),
    )


def _tile(example: Example) -> Tile:
    return lay_out(example.weighed), f"{example.name}: {example.told}"


def _heaviest(weighed: Weighed) -> str:
    if not weighed.spans:
        return ""
    start, end = weighed.spans[weighed.top(0.0)[0]]
    return weighed.text[start:end]


EXPLAIN = TextExplain()
