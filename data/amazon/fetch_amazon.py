"""Stage `fetch_amazon`: build the demonstration data set of texts from what `make install` brought.

Reads   share/rootstock/vaderSentiment-3.3.2.tar.gz in the environment
Writes  --raw  reviews.csv: id,group,sentence,rating,label
"""

import io
import sys
import tarfile
from pathlib import Path

from pipeline.ground.errors import IntegrityError, MachineError
from pipeline.ground.files import replacing_folder, sha256_file, write_rows
from pipeline.ground.stage import run_stage

SOURCE = "vaderSentiment-3.3.2.tar.gz"
SOURCE_SHA256 = "5d7c06e027fc8b99238edb0d53d970cf97066ef97654009890b83703849632f9"
NEUTRAL = 0.5
"""Mean ratings that lie no further from 0 are neutral."""

_ARCHIVE = "vaderSentiment-3.3.2/additional_resources/hutto_ICWSM_2014.tar.gz"


def main(*, raw: Path) -> None:
    """Write the sentences with their mean ratings and classes."""
    rows = [_row(*each) for each in read_ratings("amazonReviewSnippets")]
    with replacing_folder(raw) as folder:
        write_rows(folder / "reviews.csv", rows, columns=list(rows[0]))


def read_ratings(name: str) -> list[list[str]]:
    """Return the number, mean rating and text of each sentence of a set in the sources.

    Args:
        name: Of the set: amazonReviewSnippets, movieReviewSnippets, ...

    Raises:
        MachineError: `make install` has not brought the sources.
        IntegrityError: They are others.
    """
    source = Path(sys.prefix) / "share/rootstock" / SOURCE
    if not source.is_file():
        raise MachineError(source, "no such file", remedy="run `make install`")
    found = sha256_file(source)
    if found != SOURCE_SHA256:
        raise IntegrityError(
            source,
            f"must be {SOURCE_SHA256}",
            field="sha256",
            got=found,
            remedy="remove .venv, and run `make install`",
        )
    with tarfile.open(source) as outer:
        inner = outer.extractfile(_ARCHIVE)
        with tarfile.open(fileobj=io.BytesIO(inner.read() if inner else b"")) as archive:
            member = archive.extractfile(f"hutto_ICWSM_2014/{name}_GroundTruth.txt")
            lines = member.read().decode().removesuffix("\n").split("\n") if member else []
    return [line.rstrip("\r").split("\t", 2) for line in lines]


def _row(number: str, rating: str, text: str) -> dict[str, str | float]:
    """Return a row; a number such as `12_3` is that of a review and of a sentence in it."""
    value = float(rating)
    label = "neutral" if abs(value) <= NEUTRAL else "positive" if value > 0 else "negative"
    review, _, _ = number.partition("_")
    return {"id": number, "group": review, "sentence": text, "rating": value, "label": label}


if __name__ == "__main__":
    raise SystemExit(run_stage(main))
