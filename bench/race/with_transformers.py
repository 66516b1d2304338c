"""Hugging Face's `Trainer`, as its image-classification example runs it.

examples/pytorch/image-classification of transformers: random resized crops and horizontal flips,
AdamW with the linear schedule of `TrainingArguments`, batches of 8, 5 epochs, the epoch with the
lowest validation loss kept. The example's rate is 2e-5, for a vision transformer; --lr 0.0005 is a
usual one for a convolutional net of this size, so the race runs both.
"""

from typing import Any

import torch
from torch import nn
from torchvision.transforms import v2
from transformers import Trainer, TrainerCallback, TrainingArguments

from bench.race.clock import THREADS, Clock, Data, judge_with, race_arguments


class Net(nn.Module):
    """A net as `Trainer` calls it."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net

    def forward(self, pixel_values: torch.Tensor, labels: torch.Tensor) -> dict[str, torch.Tensor]:
        """Return loss and logits."""
        logits = self.net(pixel_values)
        return {"loss": nn.functional.cross_entropy(logits, labels), "logits": logits}


def main() -> None:
    """Train, and judge after each epoch."""
    parser = race_arguments(epochs=5)
    parser.add_argument("--lr", type=float, default=2e-5)
    options = parser.parse_args()
    torch.set_num_threads(THREADS)
    data = Data(options.data, options.fraction)
    clock = Clock(data, options.out)
    size = data.images.shape[-1]
    vary = v2.Compose([v2.RandomResizedCrop(size, antialias=True), v2.RandomHorizontalFlip()])
    train = data.rows["train"]

    class Pictures(torch.utils.data.Dataset):
        def __len__(self) -> int:
            return len(train)

        def __getitem__(self, at: int) -> dict[str, torch.Tensor]:
            image = vary(data.read(train[at : at + 1])[0])
            return {
                "pixel_values": data.normalize(image),
                "labels": torch.tensor(int(data.labels[train[at]])),
            }

    torch.manual_seed(options.seed)
    model = Net(data.network())
    clock.start()

    class Judge(TrainerCallback):
        def on_epoch_end(self, args: Any, state: Any, control: Any, **rest: Any) -> None:
            clock.judge(round(state.epoch), judge_with(model.net, data))

    arguments = TrainingArguments(
        output_dir=str(options.data.parent / "transformers"),
        num_train_epochs=options.epochs,
        learning_rate=options.lr,
        per_device_train_batch_size=8,
        seed=options.seed,
        save_strategy="no",
        report_to="none",
        use_cpu=True,
        disable_tqdm=True,
        logging_strategy="no",
        dataloader_num_workers=0,
    )
    Trainer(model=model, args=arguments, train_dataset=Pictures(), callbacks=[Judge()]).train()
    clock.finish()


if __name__ == "__main__":
    main()
