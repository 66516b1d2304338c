"""Stage `explain`: why the model answers so, how far it can be trusted, and a card that says it.

Reads   --store           pictures, labels and the label file's other columns
        --model --bundle --record  what `train` wrote, and its weights' record
        --metrics --predictions --text  what `evaluate` found, and what people say of the model
Writes  --report --heat  what was found, in numbers; a row for each item with a map
        --card --page  the model card, as Markdown and as one page
        --plots   examples of each class with heat maps; curves as CSV and PNG
"""

from pathlib import Path

from pipeline.compute.device import open_runtime
from pipeline.compute.engine import MachineParams
from pipeline.compute.params import RuntimeParams
from pipeline.explain.card_text import read_card_text
from pipeline.explain.run import draw, explain_answers
from pipeline.explain.writing import Sources, write_card
from pipeline.ground.files import write_json
from pipeline.ground.params import Unchecked
from pipeline.ground.stage import run_stage
from pipeline.ground.tables import write_table
from pipeline.judge.answers import open_subject
from pipeline.judge.params import EvaluateParams
from pipeline.modality.nets import net
from pipeline.modality.sections import explain_params
from pipeline.raw.params import DataParams
from pipeline.train.params import TrainParams
from pipeline.train.recipe.params import LossParams, OptimParams


def main(
    data: DataParams,
    train: TrainParams,
    optim: OptimParams,
    loss: LossParams,
    augment: Unchecked,
    evaluate: EvaluateParams,
    explain: Unchecked,
    runtime: RuntimeParams,
    machine: MachineParams,
    *,
    store: Path,
    model: Path,
    bundle: Path,
    record: Path,
    metrics: Path,
    predictions: Path,
    text: Path,
    report: Path,
    heat: Path,
    card: Path,
    page: Path,
    plots: Path,
) -> None:
    """Look at the test split, and write what there is to say of the model."""
    words = read_card_text(text, data.path)
    device = open_runtime(runtime).device
    subject = open_subject(store, model, bundle=bundle, predictions=predictions, device=device)
    asked = explain.check(explain_params(subject.store.modality))
    found = explain_answers(subject, asked, evaluate, machine)
    draw(found, subject.answers, plots)
    varied = augment.check(net(subject.store.modality).params)
    told = {"train": train, "optim": optim, "loss": loss, "augment": varied}
    sources = Sources(data.path, words, bundle, record, metrics, predictions, plots)
    write_card(told, sources, subject, found, card=card, page=page)
    write_table(heat, found.table)
    write_json(report, found.report)


if __name__ == "__main__":
    raise SystemExit(run_stage(main, settled=True))
