"""How subcommands are added, and what they print."""

import argparse
import sys
from typing import TypeAlias

Commands: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"


def say(text: str) -> None:
    """Print at once, also where a pipe reads it."""
    sys.stdout.write(text)
    sys.stdout.flush()
