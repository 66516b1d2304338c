"""`rootstock forget`: one decision, and the raw data without the items."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from pipeline.diff.snapshots import read_current
from pipeline.forgetting.choose import Choice, choose
from pipeline.forgetting.edits import Edit, check_ids, label_rows, plan_edits
from pipeline.forgetting.history import Seen, look_back
from pipeline.forgetting.traces import Traces, keep_traces, store_rows
from pipeline.forgetting.tracked import Keeper, keeper_of
from pipeline.ground.errors import ParamsError
from pipeline.ground.files import write_rows
from pipeline.ground.params import Task
from pipeline.manifest.forgotten import Forgetting, write_forgetting
from pipeline.manifest.pins import COLUMNS, pin_file, read_pins
from pipeline.manifest.review import review_file
from pipeline.raw.items import find_items
from pipeline.raw.params import DataParams
from pipeline.raw.visible import safe_line
from pipeline.reviewing.sheet import editing
from pipeline.reviewing.sources import read_sources


@dataclass(frozen=True)
class Project:
    """Where the data are, and what is decided on them.

    Attributes:
        review: The folder of decisions.
        ignore: `clean.ignore`.
        add: Runs `dvc add` on a path.
    """

    task: Task
    data: DataParams
    ignore: Sequence[str]
    review: Path
    add: Callable[[Path], None]

    @property
    def raw(self) -> Path:
        """The data folder."""
        return Path(self.data.path)


@dataclass(frozen=True)
class Plan:
    """What will be done, and what saw the items.

    Attributes:
        rows: Changes of label files.
        edits: Changes of what holds the items themselves.
        keeper: Of the data folder.
    """

    choice: Choice
    rows: Sequence[Edit]
    edits: Sequence[Edit]
    keeper: Keeper
    seen: Seen


def make_plan(project: Project, names: Sequence[str], groups: Sequence[str]) -> Plan:
    """Find the items, what holds them, and what saw them; nothing is changed.

    Args:
        project: Where the data are.
        names: Ids or paths.
        groups: All items of each.

    Raises:
        ParamsError: A name means no item.
        DataError: `clean` never ran, or the data are others than it has read.
        IntegrityError: The manifest is not the recorded one.
    """
    read_current(Path())
    sources = read_sources(project.task)
    choice = choose(sources, project.raw, names, groups)
    ids = {each.id for each in choice.items}
    keeper = keeper_of(project.raw)
    if keeper.kind not in ("added", "nobody"):  # it would bring them back
        return Plan(choice, (), (), keeper, look_back(Path(), ids))
    here = check_ids(project.raw, {each.path: each.id for each in choice.items})
    edits = plan_edits(project.raw, here, set(sources.manifest["path"]))
    rows = _label_rows(project, choice)
    changed = [each.file for each in (*rows, *edits) if each.file.is_relative_to(project.raw)]
    beside = {each.relative_to(project.raw).as_posix() for each in changed} - {*here}
    return Plan(choice, rows, edits, keeper, look_back(Path(), ids, beside=beside))


def forget(project: Project, plan: Plan, *, by: str, reason: str) -> Path:
    """Do what is planned, and return the decision's file.

    The decision is written first: whatever stops us then, the items are not used again.

    Raises:
        ParamsError: There is no reason.
    """
    if not reason.strip():
        raise ParamsError(
            "rootstock forget",
            "must be given: it is committed with the decision, so name nobody",
            field="--reason",
            remedy='such as --reason "asked for on 3 May"; --dry-run needs none',
        )
    ids = [each.id for each in plan.choice.items]
    decision = _decision(plan, by, reason)
    file = write_forgetting(project.review, decision)
    rows = store_rows(Path(), plan.seen.derived, ids)
    paths = tuple(each.path for each in plan.choice.items)
    keep_traces(decision.name, Traces(paths, tuple(rows), tuple(plan.seen.derived)))
    _forget_reviews(project, ids)
    changed = [each.file for each in (*plan.rows, *plan.edits)]
    labels = plan.rows
    while labels:  # of rows that repeat each other, one a time
        for each in labels:
            each.make()
        labels = _label_rows(project, plan.choice)
    for each in plan.edits:
        each.make()
    keepers = dict.fromkeys(map(keeper_of, changed))
    for keeper in keepers:
        if keeper.kind == "added":
            project.add(keeper.path)
    return file


def _decision(plan: Plan, by: str, reason: str) -> Forgetting:
    return Forgetting(
        by=safe_line(by),
        time=time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        reason=safe_line(" ".join(reason.split())),
        items=tuple(sorted({each.id: each.content for each in plan.choice.items}.items())),
        objects=tuple(sorted(plan.seen.raw)),
        manifests=tuple(sorted(plan.seen.manifests)),
    )


def _label_rows(project: Project, choice: Choice) -> list[Edit]:
    found = find_items(
        project.raw, Path(project.data.labels), ignore=project.ignore, **project.data.meaning()
    )
    return label_rows(found, project.raw, {each.path for each in choice.items})


def _forget_reviews(project: Project, ids: Sequence[str]) -> None:
    """Take the items out of people's decisions and pins: their notes name paths."""
    file = review_file(project.review, project.raw)
    if file.exists():
        with editing(file) as sheet:
            for each in set(ids) & sheet.ids:
                sheet.put(each, None)
    pins = read_pins(project.review, project.raw)
    if pins.keys() & set(ids):
        left = {key: pin for key, pin in pins.items() if key not in ids}
        rows = [{"id": key, "split": pin.split, "path": pin.path} for key, pin in left.items()]
        write_rows(pin_file(project.review, project.raw), rows, columns=COLUMNS)
