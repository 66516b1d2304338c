"""Items to rows in confined processes that live on: for prediction.

The bytes may come from anybody. A process that crashes, hangs or floods the memory costs its item,
which gets an error like one that cannot be read.
"""

from collections.abc import Callable, Generator, Iterable

from pipeline.compute.pool import Lost, Pool
from pipeline.ground.limits import ItemLimits
from pipeline.modality.types.items import Encoded

_CHUNK = 2
"""Items sent to a process at once."""


class Encoders:
    """Processes that encode; used by one thread, as `Pool` is.

    Args:
        encode: From an item to its row, or its error; it is pickled.
        count: Of processes, at least 1.
        limits: Of one item.
    """

    def __init__(
        self, encode: Callable[[bytes], Encoded | str], count: int, limits: ItemLimits
    ) -> None:
        # Anew: the server's import path is not that of a registered version's own code.
        self._pool: Pool[bytes, Encoded | str] = Pool(
            encode, count, limits, chunk=_CHUNK, are_large=True, anew=True
        )

    def encode(self, files: Iterable[bytes]) -> Generator[Encoded | str, None, None]:
        """Encode items in their order; a str is the error of one.

        Raises:
            MachineError: A process could not start.
        """
        for answer in self._pool.results(files):
            if isinstance(answer, Lost):
                yield f"decoder_{answer.reason}: {answer.detail}"
            else:
                yield answer

    def close(self) -> None:
        """End the processes."""
        self._pool.close()
