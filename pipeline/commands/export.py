"""Give a model to other programs."""

import argparse
import sys
from pathlib import Path

from pipeline.commands.output import Commands, say
from pipeline.ground.stage import signals, start_logging

FORMATS = ("safetensors", "pt2", "onnx", "state_dict", "pickle")
_NAME = "rootstock export"
_HOME = Path("exports")


def add(commands: Commands) -> None:
    """Add it to the command line."""
    export = commands.add_parser(
        "export", help="a model as a file for other programs, compared before it is handed out"
    )
    export.add_argument(
        "model",
        metavar="MODEL",
        help="models:/<name>@<alias>, models:/<name>/<version>, or a folder with "
        "model.safetensors and bundle.json, such as artifacts/train",
    )
    export.add_argument(
        "--format",
        required=True,
        choices=FORMATS,
        help="onnx, pt2: the whole prediction as a graph; safetensors, state_dict: "
        "tensors; pickle: a module, which runs code when it is loaded",
    )
    export.add_argument(
        "-o",
        "--output",
        type=Path,
        metavar="FOLDER",
        help=f"absent, empty or an older export (default: {_HOME}/<name>-<version>-<format>)",
    )
    export.add_argument(
        "--pictures",
        "--texts",
        dest="compared_on",
        type=Path,
        metavar="FOLDER",
        help="compare on the files in it (default: test items, where their raw files are "
        "here; else generated items)",
    )
    export.add_argument(
        "--items",
        type=int,
        default=64,
        metavar="N",
        help="compare on so many at most (default: 64)",
    )
    export.add_argument(
        "--tolerance",
        type=float,
        default=1e-4,
        metavar="D",
        help="largest difference from the model in single precision, of a "
        "probability, or of a value in deviations of the target (default: "
        "0.0001)",
    )
    export.add_argument("--json", action="store_true", help="print export.json")
    export.set_defaults(run=_export)


def _export(arguments: argparse.Namespace) -> int:
    from pipeline.export import run  # slow to import
    from pipeline.ground.files import canonical_json
    from pipeline.version.fetch import fetch_model

    start_logging(sys.stderr)
    with signals(_NAME, remedy="run the same command again"):
        model = fetch_model(arguments.model)
        name = f"{model.name}-{model.version}" if model.name else model.folder.resolve().name
        target = arguments.output or _HOME / f"{name}-{arguments.format}"
        record = run.export(
            model,
            run.Request(
                arguments.format,
                target,
                arguments.compared_on,
                arguments.items,
                arguments.tolerance,
            ),
        )
    say(canonical_json(record) + "\n" if arguments.json else run.text(target, record))
    return 0
