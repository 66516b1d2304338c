"""Search better params."""

import sys

from pipeline.commands.output import Commands, say
from pipeline.ground.errors import ParamsError
from pipeline.ground.stage import start_logging


def add(commands: Commands) -> None:
    """Add it to the command line."""
    search = commands.add_parser("tune", help="search better params, on validation data")
    search.add_argument("--trials", type=int, help="in place of tune.trials")
    search.add_argument("--apply", action="store_true", help="write the winner into params.yaml")
    search.set_defaults(run=lambda arguments: _tune(arguments.trials, apply=arguments.apply))


def _tune(trials: int | None, *, apply: bool) -> int:
    from pipeline.tune.search import tune  # slow to import

    if trials is not None and trials < 1:
        raise ParamsError("rootstock tune", "must be 1 or more", field="--trials", got=trials)
    start_logging(sys.stderr)
    say(tune(trials=trials, apply=apply))
    return 0
