"""What explains the answers of models of pictures: heat maps, and checks of them."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.compute.engine import MachineParams
from pipeline.explain.checks import LEVELS
from pipeline.explain.words import count_views
from pipeline.judge.answers import Subject
from pipeline.judge.resampling import Bootstrap
from pipeline.modality.types.evidence import Evidence, Legend, Sheet
from pipeline.model.bundle import Predictor
from pipeline.picture.explain import findings, sheets
from pipeline.picture.explain.gradcam import explain_pixels
from pipeline.picture.explain.heat_maps import describe_look, look
from pipeline.picture.explain.params import PictureExplainParams
from pipeline.picture.explain.sanity import check_maps, describe_checks
from pipeline.picture.read.spec import Pixels


class PictureExplain:
    """Pictures behind the protocol `Explain`."""

    title = "Where it looks"

    def one(self, predictor: Predictor, row: Pixels) -> dict[str, Any]:
        """Predict one picture, and show where the model looked."""
        return explain_pixels(predictor, row)

    def look(
        self,
        subject: Subject,
        params: PictureExplainParams,
        machine: MachineParams,
        bootstrap: Bootstrap,
    ) -> Evidence:
        """Make heat maps of the test split, and check some."""
        answers = subject.answers
        found = look(subject, params, machine)
        checks = check_maps(subject, found, params)
        measured = {
            **{f"correlation_{level}": checks.correlations[level] for level in LEVELS},
            "lost_hottest": checks.fall.most,
            "lost_elsewhere": checks.fall.elsewhere,
        }
        columns = {"border": found.border_N}
        for name, values in measured.items():
            columns[name] = np.full(len(found.places_N), np.nan)
            columns[name][checks.places_N] = values
        report = {
            "looking": describe_look(answers, found, bootstrap),
            **describe_checks(answers, found, checks, params, bootstrap),
        }
        examples = sheets.choose_examples(answers, found, subject.store, params.shown)
        return Evidence(report, found.places_N, columns, examples)

    def warnings(self, report: Mapping[str, Any]) -> list[str]:
        """Return what must not be overlooked."""
        return findings.warnings(report)

    def findings(self, report: Mapping[str, Any]) -> list[str]:
        """Return where the maps lie, whether they depend on the weights, and the model on them."""
        return findings.findings(report)

    def about(self, report: Mapping[str, Any]) -> str:
        """Return how the maps were made."""
        looking = report["looking"]
        return (
            f"{looking['method']} on the {looking['layer']}, mean over "
            f"{count_views(looking['views'])} of each picture, for the answer that was given; "
            f"{looking['items']:,} maps, {looking['without_heat']:,} of them without any heat."
        )

    def tiles(self, report: Mapping[str, Any]) -> list[tuple[str, str]]:
        """Return how much of the heat lies at the border."""
        density = report["looking"]["border"].get("density")
        if density is None:
            return []
        return [(f"{density:.2f}", "heat at the border over its share of the area")]

    def legend(self) -> Legend:
        """Return what the colors of heat mean."""
        return sheets.legend()

    def write_sheets(self, folder: Path, examples: Sequence[Sheet[sheets.Example]]) -> None:
        """Write a JPEG for each sheet, below 500 kB."""
        sheets.write_sheets(folder, examples)


EXPLAIN = PictureExplain()
