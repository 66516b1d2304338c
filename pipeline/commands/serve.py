"""Serve a model over HTTP, with a page to try it on."""

import argparse
import os
import sys
from collections.abc import Callable
from pathlib import Path

from pipeline.commands.output import Commands, say
from pipeline.ground.stage import start_logging

_OWN_NAMES = {"max-pictures": "max_items", "max-pixels": "max_size"}
"""Of options that are named after one modality, and hold for the items of all."""


def add(commands: Commands) -> None:
    """Add it to the command line."""
    serve = commands.add_parser(
        "serve", help="predict over HTTP with a registered model; follows its alias"
    )
    serve.add_argument(
        "model",
        metavar="MODEL",
        help="models:/<name>@<alias>, models:/<name>/<version>, or a folder with model.safetensors "
        "and bundle.json",
    )
    serve.add_argument(
        "--host",
        default="127.0.0.1",
        help="where to listen; anybody who reaches it may ask (default: 127.0.0.1)",
    )
    serve.add_argument(
        "--token-file",
        type=Path,
        metavar="FILE",
        help="who asks must send one of its lines as `Authorization: Bearer <token>`; or set "
        "ROOTSTOCK_TOKEN (default: anybody may ask)",
    )
    serve.add_argument(
        "--cors-origin",
        action="append",
        default=[],
        metavar="ORIGIN",
        help="web pages from there may read answers, such as https://example.org, or *: from "
        "anywhere; may be given several times (default: none)",
    )
    options: tuple[tuple[str, Callable[[str], float], float | None, str], ...] = (
        ("port", _count(0, 65_535), 8000, "0: any that is free"),
        ("decoders", _count(1, 1024), None, "processes that decode (default: one for each core)"),
        ("max-bytes", _count(1_000), 32_000_000, "of a request; more: 413"),
        ("max-pictures", _count(1), 64, "in one request, and not over --queue; more: 413"),
        ("max-pixels", _count(1), 50_000_000, "of a picture, or characters of a text; more: 422"),
        ("decode-timeout", _seconds, 10.0, "seconds for reading one item; more: 422"),
        ("timeout", _seconds, 30.0, "seconds for a request; more: 504"),
        ("queue", _count(1), 256, "items that may wait; more: 429"),
        ("rate", _count(1), None, "items a minute for each client; more: 429 (default: any)"),
        ("decimals", _count(0, 15), None, "of all numbers in answers (default: as they are)"),
        ("poll", _seconds, 10.0, "seconds between two looks at where the alias leads"),
    )
    for name, kind, default, text in options:
        shown = f"{text} (default: {default:g})" if default is not None else text
        own = _OWN_NAMES.get(name, name.replace("-", "_"))
        serve.add_argument(f"--{name}", dest=own, type=kind, default=default, help=shown)
    less = serve.add_mutually_exclusive_group()
    less.add_argument(
        "--top-only",
        action="store_true",
        help="answer with the label and its probability, without the others, and explain nothing",
    )
    less.add_argument(
        "--label-only",
        action="store_true",
        help="answer with the label, without any probability, and explain nothing",
    )
    serve.set_defaults(run=_serve)


def _count(least: int, most: int | None = None) -> Callable[[str], int]:
    def read(text: str) -> int:
        value = int(text)
        if value < least or (most is not None and value > most):
            raise argparse.ArgumentTypeError(
                f"must be at least {least}"
                + (f" and at most {most}" if most else "")
                + f", got {value}"
            )
        return value

    return read


def _seconds(text: str) -> float:
    value = float(text)
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"must be greater than 0, got {text}")
    return value


def _serve(arguments: argparse.Namespace) -> int:
    from pipeline.serving.access import read_access  # slow to import, all
    from pipeline.serving.replicas.limits import Limits
    from pipeline.serving.replicas.loader import Loader
    from pipeline.serving.request.disclosure import Disclosure, Shown
    from pipeline.serving.run import run
    from pipeline.serving.server import Address
    from pipeline.version.process.resident import ResidentOptions

    start_logging(sys.stderr)
    access = read_access(arguments.token_file, arguments.cors_origin)
    limits = Limits(
        max_bytes=arguments.max_bytes,
        max_items=min(arguments.max_items, arguments.queue, arguments.rate or arguments.queue),
        max_size=arguments.max_size,
        timeout_s=arguments.timeout,
        queue=arguments.queue,
        per_minute=arguments.rate,
    )
    shown: Shown = "label" if arguments.label_only else "top" if arguments.top_only else "all"
    options = ResidentOptions(
        decoders=arguments.decoders or len(os.sched_getaffinity(0)),
        most=limits.max_size,
        seconds=arguments.decode_timeout,
    )
    loader = Loader(arguments.model, options, queue=limits.queue, timeout_s=limits.timeout_s)
    address = Address(arguments.host, arguments.port)
    return run(
        loader,
        limits,
        address,
        access,
        Disclosure(arguments.decimals, shown),
        poll_s=arguments.poll,
        say=say,
    )
