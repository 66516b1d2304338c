"""Hugging Face's `Trainer`, as its image-classification example runs it, at a rate of 5e-4.

examples/pytorch/image-classification of transformers: random resized crops and horizontal flips,
AdamW with the linear schedule of `TrainingArguments`, batches of 8, 5 epochs. The example's own
rate, 2e-5, is for a vision transformer; 5e-4 is usual for a convolutional net of this size.
"""

from typing import Any

import torch
from torch import nn
from torchvision import transforms
from transformers import Trainer, TrainerCallback, TrainingArguments

from bench.sets.clock import open_contest
from bench.sets.data import Pictures, outputs


class Net(nn.Module):
    """A net as `Trainer` calls it."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net

    def forward(self, pixel_values: torch.Tensor, labels: torch.Tensor) -> dict[str, torch.Tensor]:
        """Return loss and logits."""
        logits = self.net(pixel_values)
        return {"loss": nn.functional.cross_entropy(logits, labels), "logits": logits}


def collate(pairs: list[tuple[torch.Tensor, int]]) -> dict[str, torch.Tensor]:
    """Return a batch, as `Net` takes it."""
    images, targets = zip(*pairs, strict=True)
    return {"pixel_values": torch.stack(images), "labels": torch.tensor(targets)}


def main() -> None:
    """Train, and judge after each epoch."""
    options, items, clock = open_contest(epochs=5)
    vary = items.normalized(
        transforms.RandomResizedCrop(items.size), transforms.RandomHorizontalFlip()
    )
    judged = items.normalized(transforms.Resize(items.size), transforms.CenterCrop(items.size))
    clock.start()
    model = Net(items.network())

    class Judge(TrainerCallback):
        def on_epoch_end(self, args: Any, state: Any, control: Any, **rest: Any) -> None:
            answer = lambda split: outputs(model.net, items, split, judged)  # noqa: E731
            clock.judge(round(state.epoch), answer)

    arguments = TrainingArguments(
        output_dir=str(options.data / "transformers"),
        num_train_epochs=options.epochs,
        learning_rate=5e-4,
        per_device_train_batch_size=8,
        seed=options.seed,
        save_strategy="no",
        report_to="none",
        use_cpu=True,
        disable_tqdm=True,
        logging_strategy="no",
        remove_unused_columns=False,
    )
    Trainer(
        model=model,
        args=arguments,
        data_collator=collate,
        train_dataset=Pictures(items, "train", vary),
        callbacks=[Judge()],
    ).train()
    clock.finish()


if __name__ == "__main__":
    main()
