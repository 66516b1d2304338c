"""What a person is asked: one case for each item, pair or group that something speaks against.

A case is settled as soon as one of its items has a decision. Cases with items of the test split
come last: a person decides on those by the item alone.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from pipeline.manifest.manifest import KEPT, SPLITS, all_reasons
from pipeline.modality.files import files
from pipeline.modality.reading import reader
from pipeline.modality.shown.viewing import viewer
from pipeline.reviewing.sources import SUSPECTS_COMMAND, Sources
from pipeline.reviewing.template import note_line, suspect_note

MOST = 2000
"""Cases of one reason; the others come when these are settled and the stages ran again."""

_FIRST = {
    "conflict": "Conflicting labels",
    "near_labels": "Near-duplicates, two labels",
    "label": "Wrong label?",
    "look_alike": "Look-alike across splits",
    "near_across": "Near-duplicate across splits",
    "near_dropped": "Near-duplicate, left out",
    "no_label": "No label",
}
_FURTHER = {
    "outlier": "Unlike all others",
    "low_information": "Poor {noun}",
    "untrained": "Class too small",
}
_LAST = {
    "empty": "Empty file",
    "unreadable": "Not readable",
    "decoder_crashed": "Crashed the decoder",
    "decoder_hung": "Hung the decoder",
}
"""Reasons and what the page calls them; those of the modality come between: see `titles`."""

_SETTLED = ("duplicate", "review", "conflict", "near_duplicate_of")
"""Reasons of the manifest that are no cases of their own."""

_ACTIONS = {
    "near_duplicate_of": ("keep", "drop"),
    "conflict": ("drop", "relabel"),
    "untrained": ("drop", "relabel"),
    "no_label": ("drop", "relabel"),
    "review": ("keep", "drop", "relabel"),
}
"""What has an effect on an item that is not kept, by its reason; a reason of `Viewer.refused` is as
the first, and on all others `drop` alone has an effect."""

_TWIN = re.compile(r"^cosine [-0-9.]+ with (.*) \((?:train|val|test), .*\); small gray", re.DOTALL)


def titles(modality: str) -> dict[str, str]:
    """Return the reasons in the order in which they are asked, and what the page calls them."""
    own, (noun, _) = viewer(modality), files(modality).NOUN
    further = {code: title.format(noun=noun) for code, title in _FURTHER.items()}
    return {**_FIRST, **own.refused, **further, **own.unread, **_LAST}


@dataclass(frozen=True)
class Case:
    """One question.

    Attributes:
        reasons: Codes of `titles`, the first one first in their order, each with its words.
        rows: Of the manifest: the item in question first, then what it is shown with.
        suggested: The label that a model expects.
        says: Probabilities by label, as far as the suspects' own models told.
        candidates: The labels that are in conflict.
        turn: Code of what is done to the first item to get the second.
        is_joint: One decision is written for all items.
        note: What the file's column `note` says of the first item; empty: the usual.
    """

    reasons: tuple[tuple[str, str], ...]
    rows: tuple[int, ...]
    suggested: str | None = None
    says: tuple[tuple[str, float], ...] = ()
    candidates: tuple[str, ...] = ()
    turn: int = 0
    is_joint: bool = False
    note: str = ""


@dataclass(frozen=True)
class Queue:
    """All cases of a data set.

    Attributes:
        sources: What they come from.
        cases: In the order in which they are asked.
        notes: What a person should know of what is not asked.
        classes: All labels; empty for regression.
    """

    sources: Sources
    cases: tuple[Case, ...]
    notes: tuple[str, ...]
    classes: tuple[str, ...]

    def actions(self, row: int) -> tuple[str, ...]:
        """Return which decisions have an effect on an item."""
        item = self.sources.manifest.iloc[row]
        if item["status"] == KEPT:
            return ("keep", "drop", "relabel")
        if item["reason"] in viewer(self.sources.modality).refused:
            return ("keep", "drop")
        return _ACTIONS.get(item["reason"], ("drop",))

    def ids(self, case: Case, row: int) -> list[str]:
        """Return the ids that a decision on an item of a case is written for."""
        rows = case.rows if case.is_joint else (row,)
        return list(dict.fromkeys(self.sources.manifest["id"].iloc[list(rows)]))

    def note(self, case: Case, row: int) -> str:
        """Return what the file says of a decision on an item of a case."""
        if case.note and row == case.rows[0]:
            return case.note
        item = self.sources.manifest.iloc[row]
        label = f", labeled {item['label']!r}" if isinstance(item["label"], str) else ""
        code, text = case.reasons[0]
        return note_line(f"{item['path']}: {code}{label}; {text}")


def find_cases(sources: Sources) -> Queue:
    """Put together what is to be asked."""
    finder = _Finder(sources)
    found = [*finder.conflicts(), *finder.near(), *finder.suspects(), *finder.unused()]
    return Queue(
        sources, tuple(finder.ordered(_merged(found))), tuple(finder.notes()), finder.classes()
    )


def _merged(cases: Iterable[Case]) -> list[Case]:
    """Ask once about an item that stands alone in several cases."""
    merged: dict[Any, Case] = {}
    for number, case in enumerate(cases):
        key = case.rows if len(case.rows) == 1 else number - 0.5
        if key in merged:
            old = merged[key]
            merged[key] = replace(
                old,
                reasons=old.reasons + case.reasons,
                suggested=old.suggested or case.suggested,
                says=old.says or case.says,
                note=old.note or case.note,
            )
        else:
            merged[key] = case
    return list(merged.values())


class _Finder:
    """Looks through the tables of one data set."""

    def __init__(self, sources: Sources) -> None:
        self._sources = sources
        self._manifest = sources.manifest
        self._row = {path: row for row, path in enumerate(self._manifest["path"])}
        self._stale = 0
        self._cut = 0

    def conflicts(self) -> Iterator[Case]:
        """Items of equal content, or one item, under several labels: one case for each group."""
        mine = self._manifest[self._manifest["reason"] == "conflict"]
        mine = mine[mine["id"].notna()]
        known = self._sources.seen["content_hash"].dropna().to_dict()
        same = [known.get(each, each) for each in mine["id"]]
        for _, group in mine.groupby(same, sort=False):
            labels = tuple(dict.fromkeys(group["label"].dropna()))
            text = self._detail(group.iloc[0]) or "the same item has different labels"
            yield Case((("conflict", text),), tuple(group.index), candidates=labels, is_joint=True)

    def near(self) -> Iterator[Case]:
        """Pairs of near-duplicates with two labels, or in two splits."""
        pairs = self._sources.near
        if pairs is None or pairs.empty:
            return
        pairs = pairs.sort_values("correlation", ascending=False, kind="stable")
        asked: set[int] = set()
        for pair in pairs.to_dict("records"):
            if pair["path_a"] not in self._row or pair["path_b"] not in self._row:
                self._stale += 1
            elif code := self._near_code(pair):
                case = self._pair(code, pair)
                if code == "near_labels" or case.rows[0] not in asked:
                    asked.add(case.rows[0])
                    yield case

    def _near_code(self, pair: Mapping[Any, Any]) -> str | None:
        is_class = self._sources.task == "classification"
        if is_class and pair["label_a"] != pair["label_b"]:
            return "near_labels"
        if pair["split_a"] == pair["split_b"]:
            return None  # one scene, one label, one split: no harm
        return "near_across" if pair["dropped"] == "none" else "near_dropped"

    def _pair(self, code: str, pair: Mapping[Any, Any]) -> Case:
        """Put the item in question first."""
        is_b = _is_second_asked(code, pair)
        one, other = ("b", "a") if is_b else ("a", "b")
        turn = reader(self._sources.modality).turns.index(pair["turn"])
        turned = "" if turn == 0 else f", {pair['turn']}"
        text = (
            f"{pair['correlation']:.4f} alike{turned}; this one in {pair[f'split_{one}']}, "
            f"the other in {pair[f'split_{other}']}"
        )
        rows = self._row[pair[f"path_{one}"]], self._row[pair[f"path_{other}"]]
        labels = pair[f"label_{one}"], pair[f"label_{other}"]
        return Case(
            ((code, text),),
            rows,
            candidates=labels if code == "near_labels" else (),
            turn=viewer(self._sources.modality).inverse_turns[turn] if is_b else turn,
        )

    def suspects(self) -> Iterator[Case]:
        """What the side branch found, as far as it is still so."""
        table = self._sources.suspects
        if table is None:
            return
        for each in table.drop_duplicates(["id", "reason"]).to_dict("records"):
            row = self._row.get(each["path"])
            item = None if row is None else self._manifest.iloc[row]
            if row is None or item is None or not _is_same(item, each):
                self._stale += 1
                continue
            suggested = each["suggested"] if isinstance(each["suggested"], str) else None
            other = self._twin(each)
            yield Case(
                ((each["reason"], each["detail"]),),
                (row,) if other is None else (row, other),
                suggested=suggested,
                says=_says(each),
                note=suspect_note(each),
            )

    def _twin(self, suspect: Mapping[Any, Any]) -> int | None:
        found = _TWIN.match(suspect["detail"]) if suspect["reason"] == "look_alike" else None
        return self._row.get(found[1]) if found else None

    def unused(self) -> Iterator[Case]:
        """Items that were set aside one by one."""
        mine = self._manifest[self._manifest["reason"].notna() & self._manifest["id"].notna()]
        for row, item in mine[~mine["reason"].isin(_SETTLED)].iterrows():
            text = self._detail(item) or all_reasons()[item["reason"]]
            yield Case(((item["reason"], text),), (int(str(row)),))

    def _detail(self, item: Any) -> str:
        seen = self._sources.seen
        if item["path"] in self._sources.details:
            return self._sources.details[item["path"]]
        return str(seen["detail"].get(item["id"]) or "") if len(seen) else ""

    def ordered(self, cases: Iterable[Case]) -> list[Case]:
        """Sort by reason, items of the test split last; cut what is too much for one sitting."""
        order = {code: place for place, code in enumerate(titles(self._sources.modality))}
        splits = self._manifest["split"]
        counts: dict[tuple[bool, str], int] = {}
        chosen = []
        for case in cases:
            key = splits.iloc[case.rows[0]] == SPLITS[-1], case.reasons[0][0]
            counts[key] = counts.get(key, 0) + 1
            if counts[key] <= MOST:
                chosen.append((key, case))
        self._cut = sum(max(0, count - MOST) for count in counts.values())
        chosen.sort(key=lambda each: (each[0][0], order[each[0][1]]))
        return [case for _, case in chosen]

    def notes(self) -> Iterator[str]:
        """Yield what is not asked, and why."""
        lost = self._manifest[self._manifest["id"].isna() & self._manifest["reason"].notna()]
        if self._sources.suspects is None:
            yield (
                "Nobody has looked for wrong labels, outliers and poor items yet: "
                f"run `{SUSPECTS_COMMAND}`."
            )
        if self._stale:
            yield (
                f"{self._stale} suspects or pairs are of older data, and are left out: run "
                f"`{SUSPECTS_COMMAND}`."
            )
        if self._cut:
            yield f"{self._cut} more come when these are settled and `dvc repro` ran again."
        if len(lost):
            named = ", ".join(
                f"{code} {n}" for code, n in sorted(lost["reason"].value_counts().items())
            )
            yield f"{len(lost)} items have no bytes to decide on ({named}): mend the data."

    def classes(self) -> tuple[str, ...]:
        """Return the labels that an item may be given."""
        if self._sources.task == "regression":
            return ()
        return tuple(sorted(set(self._manifest["label"].dropna())))


def _is_second_asked(code: str, pair: Mapping[Any, Any]) -> bool:
    """Return which item of a pair is in question.

    Of two labels that of the item that stays; else the item that went, or the one less protected.
    """
    if pair["dropped"] in ("a", "b"):
        return bool((pair["dropped"] == "b") != (code == "near_labels"))
    return SPLITS.index(pair["split_b"]) < SPLITS.index(pair["split_a"])


def _is_same(item: Any, suspect: Mapping[Any, Any]) -> bool:
    """Return whether an item is still what was judged; one that a person decided on may differ."""
    if item["id"] != suspect["id"]:
        return False
    is_decided = item["reason"] == "review"
    return is_decided or bool(item["status"] == KEPT and item["label"] == suspect["label"])


def _says(suspect: Mapping[Any, Any]) -> tuple[tuple[str, float], ...]:
    """Read the two probabilities that a wrong label's detail names."""
    suggested, label = suspect["suggested"], suspect["label"]
    text = str(suspect["detail"]).removeprefix(f"p({suggested}) ")
    first, _, second = text.partition(f", p({label}) ")
    try:
        return ((suggested, float(first)), (label, float(second)))
    except ValueError:
        return ()
