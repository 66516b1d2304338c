"""Start the processes that train together, or be one of them.

With `machine.ranks` above 1 they are other processes, here or in a cluster, and this one does not
train: it can tell at any time which one ended, and how. Under torchrun this process is one of them.
"""

import logging
from collections import deque
from collections.abc import Generator
from functools import partial

import torch

from pipeline.compute.device import check_ranks_here, choose_device
from pipeline.ground.processes import Launched, launched
from pipeline.train.job import Job, Told, train_rank
from pipeline.train.local_ranks import run_ranks
from pipeline.train.ranks import ALONE, joined
from pipeline.train.recipe_rules import check_ranks


def launch(job: Job) -> Generator[Told, None, None]:
    """Train with as many processes as are asked for, and tell what the first one tells.

    Under torchrun, every process calls this, and all but the first one tell nothing.

    Raises:
        ParamsError: The number of ranks does not divide that of parts, or there are fewer GPUs.
        MachineError: A rank was lost.
        PipelineError: As for `train_rank`.
    """
    place = launched()
    count = place.ranks if place else job.machine.ranks
    check_ranks(count, job.recipe.train.parts)
    device = choose_device(job.runtime.device)
    if count > 1 and not place and job.machine.engine == "ray":
        from pipeline.train.far_ranks import run_far_ranks

        return run_far_ranks(partial(train_rank, job), count, device=device.type)
    check_ranks_here(device, place.ranks_here if place else count)
    if place:
        return _join(job, place, device.type)
    if count == 1:
        return train_rank(job, ALONE)
    return run_ranks(partial(train_rank, job), count, device=device.type)


def _join(job: Job, place: Launched, device: str) -> Generator[Told, None, None]:
    """Train as the rank that torchrun says."""
    if device == "cuda":
        torch.cuda.set_device(place.rank_here)
    with joined(place.rank, place.ranks, device=device, place=None) as ranks:
        events = train_rank(job, ranks)
        if ranks.is_first:
            yield from events
        else:
            logging.getLogger("pipeline").setLevel(logging.WARNING)
            deque(events, maxlen=0)
