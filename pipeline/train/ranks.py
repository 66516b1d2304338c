"""The processes that train one model together: ranks, numbered from 0.

All of them run the same program and come to the same bits; the first one alone writes files. They
only move data to each other. What is added up is added up here, in an order that does not depend on
their number: a library's own sum would depend on it.
"""

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import timedelta
from typing import Any, TypeAlias, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor, nn

from pipeline.ground.errors import IntegrityError, MachineError

T = TypeVar("T")
A = TypeVar("A")

PATIENCE_S = 120.0
"""For the others, in any exchange; then they are given up."""

GO_ON = "run `dvc repro`: it goes on from the last epoch"


class LostError(MachineError):
    """Another rank is gone, or did not answer in time."""


class Ranks:
    """The ranks as one of them sees them.

    Args:
        number: Its own, from 0.
        count: Of all.
    """

    def __init__(self, number: int, count: int) -> None:
        self.number = number
        self.count = count

    @property
    def is_first(self) -> bool:
        """Return whether this one writes files, and tells of the training."""
        return self.number == 0

    def spread(self, items: Sequence[A], function: Callable[[A], T]) -> list[T]:
        """Return the results for items, in order; each rank computes every so many."""
        own = [function(item) for item in items[self.number :: self.count]]
        found = self._objects(own)
        return [found[place % self.count][place // self.count] for place in range(len(items))]

    def share(self, make: Callable[[], T]) -> T:
        """Return what the first rank makes."""
        if self.count == 1:
            return make()
        held = [make() if self.is_first else None]
        with _exchange():
            dist.broadcast_object_list(held, src=0)
        return held[0]  # type: ignore[return-value]  # by now it is what the first one made

    def gather(self, rows: Tensor) -> Tensor:
        """Return the rows of all ranks, in their order; each has as many: [count * len(rows), ...].

        Args:
            rows: On the device that training uses.
        """
        if self.count == 1:
            return rows
        found = rows.new_empty(self.count * len(rows), *rows.shape[1:])
        with _exchange():
            dist.all_gather_into_tensor(found, rows.contiguous())
        return found

    def exchange(self, vectors: Sequence[Tensor], counts: Sequence[int]) -> list[Tensor]:
        """Return, of every vector of every rank, the piece that this rank is to work on.

        Args:
            vectors: This rank's, one after the other, all of one length that `count` divides.
            counts: How many vectors each rank has.

        Returns:
            Pieces of length / count, in the order of the ranks and of their vectors.
        """
        size = len(vectors[0]) // self.count
        sent = torch.stack([each.view(self.count, size) for each in vectors], dim=1)
        found = sent.new_empty(sum(counts), size)
        with _exchange():
            dist.all_to_all_single(
                found.view(-1),
                sent.reshape(-1),
                [each * size for each in counts],
                [len(vectors) * size] * self.count,
            )
        return list(found)

    def agree(self, facts: Mapping[str, Any]) -> None:
        """Check that all ranks would compute the same bits.

        Args:
            facts: What decides them, by name: JSON.

        Raises:
            MachineError: A rank differs; it is named, and in what.
        """
        for number, theirs in enumerate(self._objects(dict(facts))):
            for name, value in facts.items():
                if theirs.get(name) != value:
                    raise MachineError(
                        "machine.ranks",
                        f"rank {self.number} has {name} {value!r}, rank {number} "
                        f"{theirs.get(name)!r}: their bits would differ",
                        remedy="use machines of one kind, with the same files and packages",
                    )

    def check_equal(self, models: Sequence[nn.Module], epoch: int) -> None:
        """Check that all ranks hold the same weights, to the bit.

        Raises:
            IntegrityError: A rank has others than the first one.
        """
        if self.count == 1:
            return
        digests = self._objects(digest(models))
        for number, each in enumerate(digests):
            if each != digests[0]:
                raise IntegrityError(
                    "train",
                    f"rank {number} holds other weights than rank 0 after epoch {epoch}",
                    remedy="no model was written; test the memory of that machine, then run again",
                )

    def _objects(self, own: T) -> list[T]:
        """Return an object of each rank, in their order."""
        if self.count == 1:
            return [own]
        found: list[Any] = [None] * self.count
        with _exchange():
            dist.all_gather_object(found, own)
        return found


Work: TypeAlias = Callable[[Ranks], Iterator[T]]
"""What every rank does; the first one's events are told."""

ALONE = Ranks(0, 1)
"""One process that trains by itself."""


def digest(models: Sequence[nn.Module]) -> str:
    """Return the SHA-256 of all tensors of some models."""
    found = hashlib.sha256()
    for model in models:
        for each in model.state_dict().values():
            found.update(each.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy())
    return found.hexdigest()


@contextmanager
def joined(number: int, count: int, *, device: str, place: str | None) -> Iterator[Ranks]:
    """Join the ranks as one of them, for as long as the block lasts.

    Args:
        number: Of this one.
        count: Of all.
        device: Type of the device that tensors lie on: `cpu` or `cuda`.
        place: Where they meet: the URL of a file that does not exist yet, or `tcp://<host>:<port>`
            of the first one; None: where torchrun says.

    Raises:
        LostError: The others do not come.
    """
    backend = "cpu:gloo,cuda:nccl" if device == "cuda" else "gloo"
    timeout = timedelta(seconds=PATIENCE_S)
    with _exchange():
        dist.init_process_group(
            backend, init_method=place or "env://", timeout=timeout, rank=number, world_size=count
        )
    yield Ranks(number, count)
    dist.destroy_process_group()  # not after an error: it might wait for one that is gone


@contextmanager
def _exchange() -> Iterator[None]:
    """Tell what happens to the others in one line.

    Raises:
        LostError: Instead of the libraries' errors, which differ by library and moment.
    """
    try:
        yield
    except RuntimeError as error:
        text = (str(error).splitlines() or [""])[0]
        raise LostError(
            "train",
            f"another rank is gone, or did not answer within {PATIENCE_S:g} s ({text[:200]})",
            remedy=GO_ON,
        ) from error
