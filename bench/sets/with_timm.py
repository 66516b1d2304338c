"""timm's own fine-tuning, of its own parts, as its training script puts them together.

Random resized crops, horizontal flips and color jitter of `create_loader`, and label smoothing, at
that script's defaults; AdamW at 5e-4 with weight decay 0.05, one epoch of warm-up and a cosine;
batches of 32, ten epochs.
"""

import torch
from timm.data import create_loader, create_transform
from timm.loss import LabelSmoothingCrossEntropy
from timm.optim import create_optimizer_v2
from timm.scheduler import create_scheduler_v2

from bench.sets.clock import open_contest
from bench.sets.data import Pictures, outputs


def main() -> None:
    """Train, and judge after each epoch."""
    options, items, clock = open_contest(epochs=10)
    shape = tuple(items.facts["input_size"])
    looks = {"mean": items.facts["mean"], "std": items.facts["std"], "interpolation": "bicubic"}
    judged = create_transform(shape, is_training=False, crop_pct=0.875, **looks)
    clock.start()
    train = create_loader(
        Pictures(items, "train"),
        input_size=shape,
        batch_size=32,
        is_training=True,
        color_jitter=0.4,
        num_workers=2,
        use_prefetcher=False,
        device=torch.device("cpu"),
        persistent_workers=False,
        **looks,
    )
    model = items.network()
    optimizer = create_optimizer_v2(model, opt="adamw", lr=5e-4, weight_decay=0.05)
    schedule, _ = create_scheduler_v2(
        optimizer,
        sched="cosine",
        num_epochs=options.epochs,
        warmup_epochs=1 if options.epochs > 1 else 0,
        warmup_lr=1e-6,
        step_on_epochs=False,
        updates_per_epoch=len(train),
    )
    criterion = LabelSmoothingCrossEntropy(0.1)
    for epoch in range(1, options.epochs + 1):
        model.train()
        for step, (images, targets) in enumerate(train, start=(epoch - 1) * len(train) + 1):
            loss = criterion(model(images), targets)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step_update(step)
        clock.judge(epoch, lambda split: outputs(model, items, split, judged))
    clock.finish()


if __name__ == "__main__":
    main()
