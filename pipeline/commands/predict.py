"""Predict files with a model."""

import argparse
import os
import sys
from pathlib import Path

from pipeline.commands.output import Commands
from pipeline.ground.stage import machine_error, signals, start_logging

_NAME = "rootstock predict"
_BROKEN_PIPE = 141
"""What a shell gives for a program that SIGPIPE ended."""


def add(commands: Commands) -> None:
    """Add it to the command line."""
    predict = commands.add_parser("predict", help="predict files: a table with a row for each")
    predict.add_argument(
        "model",
        metavar="MODEL",
        help="models:/<name>@<alias>, models:/<name>/<version>, a run, or a "
        "folder such as artifacts/train",
    )
    predict.add_argument(
        "paths",
        metavar="PATH",
        nargs="+",
        help="pictures, texts (.txt), folders, .tar or .zip archives, label files with a column "
        "`path`, or tables of texts: .csv, .tsv, .jsonl or .parquet",
    )
    predict.add_argument(
        "-o",
        "--output",
        type=Path,
        metavar="FILE",
        help=".csv or .parquet (default: CSV on standard output)",
    )
    predict.add_argument("--overwrite", action="store_true", help="replace an output that is there")
    predict.add_argument(
        "--workers",
        type=_workers,
        default="auto",
        metavar="N",
        help="processes that decode, or with `--engine ray` predict, on each machine (default: one "
        "for each core)",
    )
    predict.add_argument(
        "--engine",
        choices=("local", "ray"),
        default="local",
        help="this machine, or those of the cluster that RAY_ADDRESS names (default: local)",
    )
    predict.add_argument(
        "--device",
        choices=("cpu", "cuda", "mps"),
        help="default: the kind that the model was trained on",
    )
    predict.add_argument(
        "--max-pixels",
        "--max-chars",
        dest="most",
        type=_positive_int,
        metavar="N",
        help="larger pictures, and texts of more characters, get an error (default: 178956970 "
        "pixels, 10000000 characters)",
    )
    predict.add_argument(
        "--seconds", type=_positive_int, metavar="N", help="for reading one item (default: 60)"
    )
    predict.add_argument(
        "--column",
        metavar="NAME",
        help="of the texts in tables (default: data.text of the params.yaml here, else `text` or a "
        "like name, else the only one)",
    )
    predict.add_argument(
        "--encoding",
        metavar="NAME",
        type=_encoding,
        help="of tables of texts, as cp1252 (default: UTF-8; of others data.encoding of the "
        "params.yaml here, else what their bytes tell)",
    )
    predict.add_argument("--progress", choices=("auto", "bar", "lines", "none"), default="auto")
    predict.set_defaults(run=_predict)


def _predict(arguments: argparse.Namespace) -> int:
    from pipeline.compute.engine import MachineParams  # slow to import, all
    from pipeline.predict.run import Options, predict

    options = Options(
        output=arguments.output,
        overwrite=arguments.overwrite,
        machine=MachineParams.alone(
            workers=arguments.workers, progress=arguments.progress, engine=arguments.engine
        ),
        device=arguments.device,
        most=arguments.most,
        seconds=float(arguments.seconds) if arguments.seconds else None,
        column=arguments.column,
        encoding=arguments.encoding,
    )
    start_logging(sys.stderr)
    try:
        with signals(_NAME, remedy="run the same command again to go on"):
            summary = predict(arguments.model, arguments.paths, options)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # nothing is left to flush
        return _BROKEN_PIPE
    except OSError as error:
        told = machine_error(error, _NAME, then="run the same command again to go on")
        if told is None:
            raise
        raise told from error
    sys.stderr.write(f"{summary}\n")
    return 0


def _positive_int(text: str) -> int:
    if not (text.isascii() and text.isdigit() and int(text) > 0):
        raise argparse.ArgumentTypeError(f"must be a whole number above 0, got {text!r}")
    return int(text)


def _encoding(text: str) -> str:
    from pipeline.raw.texts.encoding import check_encoding  # slow to import

    try:
        check_encoding(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(
            f"must be an encoding such as cp1252, got {text!r}"
        ) from error
    return text


def _workers(text: str) -> int | str:
    return text if text == "auto" else _positive_int(text)
