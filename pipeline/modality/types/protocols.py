"""What a modality offers to the stages.

Files: which files are items. Reader: bytes to what is known of an item. Shelf: what a row of the
store is. Encoder: bytes to a row. Scaling: what normalizes rows. Net: rows to features. Show: items
for people and for programs. Report: items in the cleaning report. Each part is found by a look-up
beside this file, so that a stage reads the code of the parts that it uses and no other.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol

import numpy as np
import numpy.typing as npt

from pipeline.modality.types.probe import Probe
from pipeline.store.shards import Array, Rows

if TYPE_CHECKING:  # worker processes do without pandas and pydantic
    import pandas as pd

    from pipeline.ground.limits import ItemLimits
    from pipeline.ground.params import Section
    from pipeline.modality.types.alike import Alike
    from pipeline.modality.types.params import CleanParams, ShelfParams
    from pipeline.store.spill import Piece, Place

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


class Facts(Protocol):
    """What `clean` writes of each item, beside what it writes of items of every modality."""

    columns: Mapping[str, type]
    """Of the manifest, each of int or str; kept items have all of them."""

    reasons: Mapping[str, str]
    """Codes of the column `reason`, and what each says; those of all items may be said better."""

    content_hash: str
    """The name of that column where probes are stored."""

    sketch: str
    """Likewise."""


class Look(Protocol):
    """How raw items are looked at; it is sent to worker processes, and imports little."""

    @property
    def limits(self) -> ItemLimits:
        """Return what one item may take."""

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON: all that a probe depends on besides bytes and code."""

    def probe(self, content: bytes, path: str) -> Probe:
        """Read an item in full; a bad one is an answer, not an error. Its `id` is set later."""

    def named(self, probe: Probe, path: str) -> Probe:
        """Return what `probe` gives for the same bytes under another name."""


class Sketches(Protocol):
    """Sketches of all items that are compared, by number."""

    def find_alike(self, numbers: Ints, kinds: Ints, *, correlation: float, **search: Any) -> Alike:
        """Find all pairs that are nearly the same.

        Args:
            numbers: Of those to search among, rising; the pairs hold these numbers.
            kinds: Of all items, such as their labels.
            correlation: At least so much, 0..1.
            search: What `Reader.search` gives.
        """

    def likeness(self, number: int, others: Ints) -> Floats:
        """Return the correlation of one item with others."""


class Files(Protocol):
    """Which files are items, by their names and by their first bytes."""

    NOUN: tuple[str, str]
    """What an item and several items are called in a message."""

    WORDS: tuple[str, ...]
    """Words by which people call an item, as the name of a column, the surest first."""

    SUFFIXES: tuple[str, ...]
    """Ends of the names of files that are read, in lower case; none where only `data.text` says
    which files hold items."""

    UNREAD_SUFFIXES: Collection[str]
    """Of files of this kind that are not read: they are items too, and are quarantined."""

    def format(self, head: bytes) -> str | None:
        """Return the format, of those that are read, that a file's first bytes claim to have."""

    def unread_format(self, head: bytes) -> str | None:
        """Name a format of this kind that is not read, with a way to one that is, or None."""

    def hidden_format(self, head: bytes) -> str | None:
        """Name what holds an item that must be taken out first, or None."""


class RawFolder(Protocol):
    """What lies in a raw folder: paths relative to it; members of containers too."""

    @property
    def files(self) -> Sequence[str]:
        """All files and members."""

    @property
    def archives(self) -> tuple[str, ...]:
        """The containers."""

    def archive_of(self, path: str) -> str | None:
        """Return the container that holds a file, or None for a loose one."""


class Reader(Protocol):
    """Bytes to what is known of an item."""

    params: type[CleanParams]
    """The section `clean`."""

    notes: Mapping[str, str]
    """What may be noted of an item that is kept, and what each note means."""

    alarms: Collection[str]
    """Notes on items that may hold nothing, or not what they seem."""

    name_notes: Collection[str]
    """Notes that depend on an item's name."""

    carried: Mapping[str, str]
    """Kinds of what an item tells of people and places besides what is learned from, in the order
    in which they are told, and what each means."""

    personal: Collection[str]
    """Kinds that lead to a person, a place or one machine."""

    placeholder: str
    """What stands for an item that is lacking, as an example."""

    resembling: str
    """What items are that resemble each other and are different, as examples."""

    repeated: str
    """What items are that are copies and not equal, as examples."""

    turns: Sequence[str]
    """What may be done to the first item of a pair to get the second; the first is `none`."""

    def refuse_unread(self, raw: Path, folder: RawFolder, label_file: Path | None) -> None:
        """Refuse a raw folder without items whose files may hold some in a way that is not read.

        Raises:
            DataError: It says what the files are, and what to do.
        """

    def refuse_other_tasks(self, raw: Path, folder: RawFolder) -> None:
        """Refuse a raw folder without a label file whose items have no label each.

        Raises:
            DataError: It says what the set is, and what to do.
        """

    def code(self) -> str:
        """Return a digest of the code that decides what is seen of an item."""

    def look(self, params: Any) -> Any:
        """Return how items are looked at, by the section `clean`: a `Look`."""

    def fault(self, facts: Mapping[Any, Any], params: Any) -> tuple[str, str] | None:
        """Return the reason code and detail for an item that is refused by its facts, or None."""

    def search(self, params: Any) -> dict[str, Any]:
        """Return how near-duplicates are searched for, besides the correlation."""

    def sketches(self, pieces: Sequence[Piece], spill: Place) -> Sketches:
        """Measure the sketches of items."""

    def unread(self, like: Probe | None) -> Probe:
        """Return what an item that was not opened is taken for: as another, and like none."""

    def describe(self, probes: Sequence[Probe]) -> str:
        """Describe good items in a few words."""

    def summary(self, kept: pd.DataFrame) -> dict[str, Any]:
        """Return what the report says of the items that are kept, in JSON's types."""


class Spec(Protocol):
    """How an item becomes a row: all that its encoding depends on. Each Shelf has its own type."""

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""

    def told(self) -> str:
        """Return in a few words what an item becomes."""


class Shelf(Protocol):
    """What a row of the store is."""

    params: type[ShelfParams]
    """The section `transform`."""

    def spec(self, record: Mapping[str, Any]) -> Any:
        """Read a `Spec` from what its `to_dict` gave.

        Raises:
            KeyError, TypeError, ValueError: It is something else.
        """

    def row(self, spec: Any) -> tuple[tuple[int, ...], np.dtype[Any]]:
        """Return shape and type of a row."""


class Encoder(Protocol):
    """Bytes to a row of the store."""

    max_bytes: int
    """What is larger is not read."""

    less_room: str
    """What to change in params.yaml for smaller rows."""

    less_refused: str
    """What to change in params.yaml, so that `clean` sets aside what `encode` refuses."""

    def code(self) -> str:
        """Return a digest of the code that decides the bytes of a row."""

    def encode(self, content: bytes, specs: Sequence[Any]) -> Sequence[Array] | str:
        """Return the row of an item under each spec, or say why there is none.

        The specs come from one section `transform`, with other values where they may be `auto`.
        """


class StoredRows(Protocol):
    """What a Scaling reads of a store."""

    @property
    def folder(self) -> Path:
        """Return where it is."""

    def rows(self, split: str) -> Rows:
        """Return the row numbers of a split, ascending."""

    def read(self, rows: Rows) -> Array:
        """Copy rows into memory, in the order asked for."""


@dataclass(frozen=True)
class Weights:
    """Pretrained weights on disk, as the stage `weights` wrote them."""

    backbone: Path
    record: Path


class Scaling(Protocol):
    """What the values of rows are multiplied with before a network sees them."""

    params: type[Section]
    """The section `normalize`."""

    def fit(
        self, store: StoredRows, params: Any, *, weights: Weights, plots: Path | None
    ) -> dict[str, Any]:
        """Fit it on train, and measure every split before and after.

        Args:
            store: The rows.
            params: Of the type of `params`.
            weights: What they expect.
            plots: A folder for PNG files; None: draw none.

        Returns:
            The record `normalization.json`.
        """


class Show(Protocol):
    """Items for people."""

    suffix: str
    """Of the files that sheets are: `.png` or `.svg`."""

    def draw(self, rows: Array) -> Sequence[Any]:
        """Return a tile for each row of the store: what `write_sheet` takes."""

    def write_sheet(
        self,
        path: Path,
        cells: Sequence[tuple[Sequence[Any], str]],
        *,
        title: str,
        empty: str = "none",
    ) -> None:
        """Write tiles in a grid.

        Args:
            path: Ends with `suffix`.
            cells: A tile, or several that belong together, with a caption. After `SHEET_LIMIT` of
                them the rest is only counted.
            title: Above the sheet.
            empty: The words if there are none.
        """


@dataclass(frozen=True)
class ReportWords:
    """What items of a modality are called in the cleaning report."""

    one: str
    many: str
    unit: str
    """What holds one: a file, or itself."""

    content: str
    """What two equal items have in common."""

    close: str
    """What two items are that are nearly equal."""

    likeness: str
    """What the number is called that says how nearly."""


class Report(Protocol):
    """Items in the cleaning report, for people."""

    words: ReportWords
    notes: Mapping[str, str]
    """What is noted of items that are kept: code -> text."""

    template: str
    """With the macros `preview(value, path)` and `kept(value)`, a section on what is kept."""

    most_work: int
    """For the previews of one page; beyond it some are left out."""

    few_work: int
    """Up to it, other processes would start later than one is done."""

    def work(self, row: Mapping[str, Any]) -> int | None:
        """Return the work of a preview; None where nothing of the item can be shown."""

    def preview(self, raw: Path, path: str, limits: Any) -> str | None:
        """Return what the macro `preview` takes; None where the item is gone since."""

    def beside(self, value: str, other: str) -> Any:
        """Return what the macro `preview` takes of an item that stands beside one much alike.

        Args:
            value: Its preview.
            other: The preview of the other one.
        """

    def tile(self, raw: Path, path: str | None, limits: Any) -> Any:
        """Return the tile of an item, as `Show` takes it; one that shows nothing for None."""

    def kept(self, report: Mapping[str, Any], table: pd.DataFrame) -> Any:
        """Return what the macro `kept` takes.

        Args:
            report: The counts of the cleaning report.
            table: Rows of the manifest.
        """


ViewSize = Literal["thumb", "view", "full"]
"""A small one for strips; one that fills a screen; all of it."""


@dataclass(frozen=True)
class View:
    """An item as a browser shows it."""

    content: bytes
    media_type: str
    """Of an image, or of plain text."""


class Viewer(Protocol):
    """Single items for people who decide on them."""

    inverse_turns: Sequence[int]
    """By place in `Reader.turns`: the place of the turn that undoes it."""

    refused: Mapping[str, str]
    """A short title for each reason of the modality by which a good item is set aside."""

    unread: Mapping[str, str]
    """Likewise for each reason by which an item cannot be read."""

    def tile(self, content: bytes | None, look: Any, *, side_px: int) -> Any:
        """Return the tile of an item, as `Show` takes it; one that shows nothing for None."""

    def view(self, content: bytes, look: Any, size: ViewSize) -> View | str:
        """Return an item as a browser shows it, or in words why there is none."""


@dataclass(frozen=True)
class Poor:
    """An item that holds little to learn from."""

    row: int
    """Of the store."""

    kind: str
    score: float
    """In [0, 1], 1 the poorest; comparable within a kind."""

    detail: str


class Quality(Protocol):
    """What rows alone say of their items."""

    def poor(self, store: Any, machine: Any, *, beyond: float) -> Sequence[Poor]:
        """Return the items of a store that hold little, poorest first.

        Args:
            store: An open `Store`.
            machine: Progress, as `MachineParams`.
            beyond: Robust deviations from the median from which an item is told.
        """

    def difference(self, row: Array, other: Array) -> str:
        """Say how far two rows differ."""


@dataclass(frozen=True)
class Known:
    """Rows of the store with their truths, N of them."""

    rows: Rows
    targets: npt.NDArray[Any]
    """In the order of the rows: class numbers, int64, or values, float64."""


class Baseline(Protocol):
    """A plain model without transfer."""

    name: str
    """As metrics.json and messages have it."""

    def answers(self, store: Any, known: Known, asked: Rows, *, classes: int, seed: int) -> Floats:
        """Fit it to some rows, by the weights of the index, and answer others.

        Args:
            store: An open `Store`.
            known: What it is fitted to.
            asked: Rows of the store, M of them.
            classes: K; 0: the targets are values.
            seed: Of all that is drawn.

        Returns:
            Probabilities [M, K], whose rows sum to 1, or values [M, 1].
        """
