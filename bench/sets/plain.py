"""The loop of the textbooks: all layers, Adam at 0.001, batches of 32, ten epochs, no frills.

Pictures are squeezed to the size of the network, decoded by two processes, not augmented; single
precision, torch as it comes.
"""

import torch
from torch import nn
from torch.utils.data import DataLoader
from torchvision import transforms

from bench.sets.clock import open_contest
from bench.sets.data import Pictures, outputs


def main() -> None:
    """Train, and judge after each epoch."""
    options, items, clock = open_contest(epochs=10)
    transform = items.normalized(transforms.Resize((items.size, items.size)))
    clock.start()
    train = DataLoader(
        Pictures(items, "train", transform), batch_size=32, shuffle=True, num_workers=2
    )
    model = items.network()
    optimizer = torch.optim.Adam(model.parameters(), lr=0.001)
    criterion = nn.CrossEntropyLoss()
    for epoch in range(1, options.epochs + 1):
        model.train()
        for images, targets in train:
            loss = criterion(model(images), targets)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        clock.judge(epoch, lambda split: outputs(model, items, split, transform))
    clock.finish()


if __name__ == "__main__":
    main()
