"""Look at how data and numbers changed, and decide on suspects."""

import argparse
from pathlib import Path

from pipeline.commands.output import Commands, say
from pipeline.data.params import DataParams
from pipeline.data.pins import add_pins
from pipeline.errors import ParamsError
from pipeline.params import load_section, read_params
from pipeline.stage import PARAMS
from pipeline.suspects.table import REASONS
from pipeline.suspects.template import review_template

REVIEW = Path("review")


def add(commands: Commands) -> None:
    """Add them to the command line."""
    _add_data(commands)
    _add_metrics(commands)
    _add_review(commands)


def _add_data(commands: Commands) -> None:
    data = commands.add_parser("data", help="look at how the data changed, and hold splits")
    kinds = data.add_subparsers(dest="data_command", required=True, metavar="COMMAND")
    pin = kinds.add_parser(
        "pin", help="write down where split.small_classes put items, so that they stay there"
    )
    pin.add_argument("revision", nargs="?", metavar="REV",
                     help="a commit, branch or tag (default: the working tree)")  # fmt: skip
    pin.set_defaults(run=_data_pin)
    diff = kinds.add_parser(
        "diff",
        help="compare the data of a revision with those in the working tree, after `clean`",
    )
    diff.add_argument("revision", nargs="?", default="HEAD", metavar="REV",
                      help="a commit, branch or tag (default: HEAD)")  # fmt: skip
    diff.add_argument("--json", action="store_true", help="everything, for programs")
    diff.add_argument("--sheet", type=Path, metavar="FILE", help="draw what changed, as a PNG")
    diff.add_argument("--fail-on-moved", action="store_true",
                      help="end with 3 where an item changed its split")  # fmt: skip
    diff.set_defaults(run=_data_diff)


def _add_metrics(commands: Commands) -> None:
    metrics = commands.add_parser("metrics", help="look at how the numbers changed")
    kinds = metrics.add_subparsers(dest="metrics_command", required=True, metavar="COMMAND")
    diff = kinds.add_parser(
        "diff", help="compare the metrics of a revision with those in the working tree, in Markdown"
    )
    diff.add_argument("revision", nargs="?", default="HEAD", metavar="REV",
                      help="a commit, branch or tag (default: HEAD)")  # fmt: skip
    diff.set_defaults(run=_metrics_diff)


def _add_review(commands: Commands) -> None:
    review = commands.add_parser("review", help="rows for review/<name>.csv, to decide on suspects")
    review.add_argument("--reason", choices=REASONS, default="label", help="default: label")
    review.add_argument("--first", type=int, default=20, help="rows at most (default: 20)")
    review.add_argument("--test", action="store_true", help="the test split, in place of the rest")
    review.add_argument("--append", action="store_true", help="write them into the file, undecided")
    review.set_defaults(run=_review)


def _data_diff(arguments: argparse.Namespace) -> int:
    from pipeline.data.compare import compare_data, refuse_moved  # slow to import

    text, diff = compare_data(
        Path(), arguments.revision, as_json=arguments.json, sheet=arguments.sheet
    )
    say(text)
    if arguments.fail_on_moved:
        refuse_moved(diff)
    return 0


def _data_pin(arguments: argparse.Namespace) -> int:
    from pipeline.data.snapshots import read_report  # slow to import

    data = load_section(read_params(PARAMS), "data", DataParams, path=PARAMS)
    report = read_report(Path(), arguments.revision)
    file, new = add_pins(REVIEW, Path(data.path), report)
    told = f"{file} has {new} new rows: commit it" if new else f"{file} needs no new row"
    say(f"{len(report.get('placed', ()))} items are not in the split of their own hash; {told}\n")
    return 0


def _metrics_diff(arguments: argparse.Namespace) -> int:
    from pipeline.metricsdiff import diff_metrics  # slow to import

    say(diff_metrics(Path(), arguments.revision))
    return 0


def _review(options: argparse.Namespace) -> int:
    raw = read_params(PARAMS)
    data = load_section(raw, "data", DataParams, path=PARAMS)
    if options.first < 1:
        raise ParamsError("rootstock review", "must be 1 or more", field="--first",
                          got=options.first)  # fmt: skip
    text = review_template(
        REVIEW, Path(data.path), reason=options.reason, first=options.first, of_test=options.test,
        append=options.append,
    )  # fmt: skip
    say(text)
    return 0
