"""Look at how data and numbers changed, and decide on suspects."""

import argparse
import sys
from pathlib import Path
from typing import Any

from pipeline.commands.output import Commands, say
from pipeline.ground.errors import ParamsError
from pipeline.ground.params import Task, in_force, load_section, load_value, read_params
from pipeline.ground.stage import PARAMS, signals, start_logging
from pipeline.raw.params import DataParams
from pipeline.suspects.reasons import REASONS

REVIEW = Path("review")


def add(commands: Commands) -> None:
    """Add them to the command line."""
    _add_data(commands)
    _add_metrics(commands)
    _add_review(commands)


def _add_data(commands: Commands) -> None:
    data = commands.add_parser(
        "data", help="look at how the data changed, hold splits, take out what names people"
    )
    kinds = data.add_subparsers(dest="data_command", required=True, metavar="COMMAND")
    pin = kinds.add_parser(
        "pin", help="write down where split.small_classes put items, so that they stay there"
    )
    pin.add_argument(
        "revision",
        nargs="?",
        metavar="REV",
        help="a commit, branch or tag (default: the working tree)",
    )
    pin.set_defaults(run=_data_pin)
    link = kinds.add_parser(
        "link", help="take tars of a bucket on S3 as raw data, or take it anew as it is now"
    )
    link.add_argument("url", metavar="URL", help="s3://bucket/prefix: all tars below it")
    link.add_argument(
        "folder", nargs="?", type=Path, metavar="FOLDER", help="the raw folder (default: data.path)"
    )
    link.set_defaults(run=_data_link)
    diff = kinds.add_parser(
        "diff", help="compare the data of a revision with those in the working tree, after `clean`"
    )
    diff.add_argument(
        "revision",
        nargs="?",
        default="HEAD",
        metavar="REV",
        help="a commit, branch or tag (default: HEAD)",
    )
    diff.add_argument("--json", action="store_true", help="everything, for programs")
    diff.add_argument(
        "--sheet", type=Path, metavar="FILE", help="draw what changed, as a PNG or SVG"
    )
    diff.add_argument(
        "--fail-on-moved", action="store_true", help="end with 3 where an item changed its split"
    )
    diff.set_defaults(run=_data_diff)
    _add_strip(kinds)


def _add_strip(kinds: Commands) -> None:
    strip = kinds.add_parser(
        "strip",
        help="copy a raw folder without GPS, serial numbers, names, comments, thumbnails",
        description="Copy a raw folder without what its files tell of people, places and machines. "
        "Pictures keep their coded data and decode to the same pixels, which is checked for each. "
        "What cannot be written so is left out and named. RAW is not changed.",
    )
    strip.add_argument("raw", type=Path, metavar="RAW", help="the raw folder, unpacked")
    strip.add_argument("out", type=Path, metavar="OUT", help="the copy; it must not be there yet")
    strip.add_argument(
        "--texts",
        choices=("keep", "mask"),
        default="keep",
        help="of e-mail addresses, phone numbers, and numbers of cards, accounts and machines in "
        "texts: count them, or write [e-mail], [phone] ... in their place (default: keep)",
    )
    strip.add_argument(
        "--column",
        metavar="NAME",
        help="of the texts in tables, or .txt for text files (default: data.text of params.yaml)",
    )
    strip.add_argument(
        "--workers",
        type=int,
        metavar="N",
        help="processes that decode (default: machine.workers of params.yaml)",
    )
    strip.set_defaults(run=_data_strip)


def _add_metrics(commands: Commands) -> None:
    metrics = commands.add_parser("metrics", help="look at how the numbers changed")
    kinds = metrics.add_subparsers(dest="metrics_command", required=True, metavar="COMMAND")
    diff = kinds.add_parser(
        "diff", help="compare the metrics of a revision with those in the working tree, in Markdown"
    )
    diff.add_argument(
        "revision",
        nargs="?",
        default="HEAD",
        metavar="REV",
        help="a commit, branch or tag (default: HEAD)",
    )
    diff.set_defaults(run=_metrics_diff)


def _add_review(commands: Commands) -> None:
    review = commands.add_parser(
        "review",
        help="decide in the browser on suspects, near-duplicates, conflicts and what was "
        "quarantined; or rows for review/<name>.csv",
    )
    review.add_argument(
        "--port",
        type=int,
        metavar="PORT",
        help="on 127.0.0.1; 0: any free one (default: 8700, else any)",
    )
    review.add_argument("--no-browser", action="store_true", help="print the address alone")
    review.add_argument("--by", metavar="NAME", help="who decides (default: git's user.name)")
    rows = review.add_argument_group("rows, in place of the page")
    rows.add_argument("--append", action="store_true", help="write them into the file, undecided")
    rows.add_argument("--print", action="store_true", help="print them alone")
    rows.add_argument("--reason", choices=REASONS, help="default: label")
    rows.add_argument("--first", type=int, metavar="N", help="rows at most (default: 20)")
    rows.add_argument("--test", action="store_true", help="the test split, in place of the rest")
    review.set_defaults(run=_review)


def _data_diff(arguments: argparse.Namespace) -> int:
    from pipeline.diff.compare import compare_data, refuse_moved  # slow to import

    text, diff = compare_data(
        Path(), arguments.revision, as_json=arguments.json, sheet=arguments.sheet
    )
    say(text)
    if arguments.fail_on_moved:
        refuse_moved(diff)
    return 0


def _data_link(arguments: argparse.Namespace) -> int:
    from pipeline.raw.bucket.link import link  # slow to import

    folder = arguments.folder
    if folder is None:
        folder = Path(load_section(read_params(PARAMS), "data", DataParams, path=PARAMS).path)
    say(link(arguments.url, folder))
    return 0


def _data_pin(arguments: argparse.Namespace) -> int:
    from pipeline.diff.snapshots import read_report
    from pipeline.manifest.pins import add_pins  # slow to import, both

    data = load_section(read_params(PARAMS), "data", DataParams, path=PARAMS)
    report = read_report(Path(), arguments.revision)
    file, new = add_pins(REVIEW, Path(data.path), report)
    told = f"{file} has {new} new rows: commit it" if new else f"{file} needs no new row"
    say(f"{len(report.get('placed', ()))} items are not in the split of their own hash; {told}\n")
    return 0


def _data_strip(arguments: argparse.Namespace) -> int:
    from pipeline.compute.engine import MachineParams  # slow to import, all
    from pipeline.strip.run import Options, strip_folder
    from pipeline.strip.told import told

    params = read_params(PARAMS)
    data = load_section(params, "data", DataParams, path=PARAMS)
    machine = load_section(params, "machine", MachineParams, path=PARAMS).here()
    if arguments.workers is not None:
        if arguments.workers < 1:
            raise ParamsError(
                "rootstock data strip",
                "must be 1 or more",
                field="--workers",
                got=arguments.workers,
            )
        machine = machine.model_copy(update={"workers": arguments.workers})
    text = arguments.column or data.text
    options = Options(text, data.encoding, arguments.texts, machine)
    start_logging(sys.stderr)
    with signals("rootstock data strip", remedy="run the same command again"):
        summary = strip_folder(arguments.raw, arguments.out, options)
    is_masked = text is None or arguments.texts == "mask"
    say(told(summary, arguments.raw, arguments.out, is_masked=is_masked))
    return 0


def _metrics_diff(arguments: argparse.Namespace) -> int:
    from pipeline.diff.metrics_diff import diff_metrics  # slow to import

    say(diff_metrics(Path(), arguments.revision))
    return 0


def _review(options: argparse.Namespace) -> int:
    raw = in_force(read_params(PARAMS))
    data = load_section(raw, "data", DataParams, path=PARAMS)
    of_rows = {"--reason": options.reason, "--first": options.first, "--test": options.test}
    if options.append or options.print:
        return _review_rows(options, Path(data.path))
    for name, value in of_rows.items():
        if value not in (None, False):
            raise ParamsError(
                "rootstock review",
                "goes with --append or --print alone",
                field=name,
                remedy="the page has filters",
            )
    if not 0 <= (options.port or 0) < 65_536:
        raise ParamsError(
            "rootstock review", "must be 0 to 65535", field="--port", got=options.port
        )
    return _review_page(options, raw, Path(data.path))


def _review_rows(options: argparse.Namespace, raw: Path) -> int:
    from pipeline.reviewing.template import review_template  # slow to import

    first = 20 if options.first is None else options.first
    if first < 1:
        raise ParamsError("rootstock review", "must be 1 or more", field="--first", got=first)
    say(
        review_template(
            REVIEW,
            raw,
            reason=options.reason or "label",
            first=first,
            of_test=options.test,
            append=options.append,
        )
    )
    return 0


def _review_page(options: argparse.Namespace, params: dict[str, Any], raw: Path) -> int:
    from pipeline.reviewing.decisions import reviewer
    from pipeline.reviewing.run import Data, run

    start_logging(sys.stderr)
    data = Data(raw, REVIEW, load_value(params, "task", Task, path=PARAMS), params)
    return run(
        data,
        by=options.by or reviewer(),
        port=options.port,
        opens_browser=not options.no_browser,
        say=say,
    )
