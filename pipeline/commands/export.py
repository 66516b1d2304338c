"""Give a model to other programs."""

import argparse
import sys
from pathlib import Path
from typing import Any

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
        type=Path,
        metavar="FOLDER",
        help="compare on these (default: test items, where their raw files are "
        "here; else generated pictures)",
    )
    export.add_argument(
        "--items",
        type=int,
        default=64,
        metavar="N",
        help="compare on so many pictures at most (default: 64)",
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
    from pipeline.ground.files import canonical_json
    from pipeline.picture.export.run import Request, export  # slow to import
    from pipeline.version.fetch import fetch_model

    start_logging(sys.stderr)
    with signals(_NAME, remedy="run the same command again"):
        model = fetch_model(arguments.model)
        name = f"{model.name}-{model.version}" if model.name else model.folder.resolve().name
        target = arguments.output or _HOME / f"{name}-{arguments.format}"
        request = Request(
            arguments.format, target, arguments.pictures, arguments.items, arguments.tolerance
        )
        record = export(model, request)
    say(canonical_json(record) + "\n" if arguments.json else _text(target, record))
    return 0


def _text(target: Path, record: dict[str, Any]) -> str:
    takes, gives, found = record["input"], record["output"], record["compared"]
    shape = ", ".join(map(str, takes["shape"]))
    sizes = ", ".join(f"{name} {each['bytes']:,} bytes" for name, each in record["files"].items())
    lines = [
        f"{target.as_posix()}: {sizes}",
        f"  takes     {takes['name']}, {takes['dtype']} [{shape}]",
        f"  gives     {gives['name']}, {gives['dtype']} [batch, {gives['shape'][1]}]",
        f"  compared  {found['pictures']} {found['kind']}: {found['how']}",
    ]
    for precision, each in found["with"].items():
        allowed = found["tolerance"].get(precision)
        limit = "" if allowed is None else f" (allowed are {allowed:g})"
        same = each.get("same_label")
        labels = "" if same is None else f"; same label for {same} of {found['pictures']}"
        lines.append(
            f"            from the model in {precision} by up to {each['largest']:.2g}"
            f"{limit}{labels}"
        )
    return "\n".join(lines) + "\n"
