"""The loop of the textbooks: all layers, Adam at 0.001, batches of 32, single precision, no frills.

With --random the same net starts from random weights, and pictures are flipped at random: without
it, a net from random weights learns 1,576 pictures by heart. It is there for its accuracy, not for
its time, so it may keep freed memory, as ours do; with pretrained weights torch runs as it comes.
"""

import numpy as np
import torch
from torch import nn

from bench.race.clock import THREADS, Clock, Data, judge_with, keep_freed_memory, race_arguments


def main() -> None:
    """Train, and judge after each epoch."""
    parser = race_arguments(epochs=10)
    parser.add_argument("--random", action="store_true")
    options = parser.parse_args()
    torch.set_num_threads(THREADS)
    if options.random:
        keep_freed_memory()
    torch.manual_seed(options.seed)
    generator = np.random.default_rng(options.seed)
    data = Data(options.data, options.fraction)
    clock = Clock(data, options.out)
    model = data.network(pretrained=not options.random)
    clock.start()
    optimizer = torch.optim.Adam(model.parameters(), lr=0.001)
    criterion = nn.CrossEntropyLoss()
    train = data.rows["train"]
    for epoch in range(1, options.epochs + 1):
        model.train()
        order = generator.permutation(train)
        for part in np.array_split(order, max(1, len(order) // 32)):
            images = data.read(part)
            if options.random:
                axes = [axis for axis in (-1, -2) if generator.random() < 0.5]
                images = images.flip(axes) if axes else images
            loss = criterion(model(data.normalize(images)), torch.from_numpy(data.labels[part]))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        clock.judge(epoch, judge_with(model, data))
    clock.finish()


if __name__ == "__main__":
    main()
