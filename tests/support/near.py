"""What counts as nearly the same, for pictures."""

from pipeline.clean.near import NearRule
from pipeline.picture.read.reader import READER


def near_rule(policy="drop", *, correlation=0.997, turns=False, task="classification"):
    """Give a rule as `clean` makes it of params."""
    return NearRule(policy, correlation, {"turns": turns}, READER, task)
