"""The same item in two of the splits that the user gave: a proof of it, and a full stop."""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from pipeline.clean.duplicates import Duplicate
from pipeline.ground.errors import DataError
from pipeline.ground.files import write_rows
from pipeline.raw.visible import safe_cell

PROOF = Path(".rootstock") / "proofs" / "leaks.csv"
"""Outside the outputs of a stage, since DVC keeps none of a stage that failed."""

IDENTICAL = "identical"
COLUMNS = ("path_a", "split_a", "label_a", "path_b", "split_b", "label_b", "correlation")
"""`correlation` is that of the sketches, or `identical` for equal content."""


def identical_leaks(table: pd.DataFrame, duplicates: Sequence[Duplicate]) -> pd.DataFrame:
    """Return duplicates whose split is not that of the row which stays for them.

    Args:
        table: Columns path, split (as the user gave it, else missing), label.
        duplicates: Found in it.

    Returns:
        `COLUMNS`, the row that stays as a.
    """
    copies = [each for each in duplicates if each.reason == "duplicate"]
    kept, gone = (
        table.loc[rows] for rows in ([each.kept for each in copies], [each.row for each in copies])
    )
    columns = {
        f"{name}_{side}": ends[name].to_numpy()
        for side, ends in (("a", kept), ("b", gone))
        for name in ("path", "split", "label")
    }
    pairs = pd.DataFrame(columns).assign(correlation=IDENTICAL)
    return pairs[pairs["split_a"].notna() & (pairs["split_a"] != pairs["split_b"])][list(COLUMNS)]


def refuse_leaks(
    identical: pd.DataFrame, nearly: pd.DataFrame, proof: Path, *, resembling: str
) -> None:
    """Stop if there are leaks, and write them down; without any, remove what an older run wrote.

    Args:
        identical: From `identical_leaks`.
        nearly: `COLUMNS` of pairs of near-duplicates, the correlation as a number.
        proof: The file to write.
        resembling: What items are that resemble each other and are different, as examples.

    Raises:
        DataError: There are leaks; the file and the first pair are named.
    """
    nearly = nearly.assign(correlation=[f"{each:.4f}" for each in nearly["correlation"]])
    pairs = pd.concat([identical[list(COLUMNS)], nearly[list(COLUMNS)]])
    if pairs.empty:
        proof.unlink(missing_ok=True)
        return
    rows = pairs.sort_values(["path_a", "path_b"]).itertuples(index=False)
    leaks = [dict(zip(COLUMNS, row, strict=True)) for row in rows]
    told = [{name: safe_cell(value) for name, value in leak.items()} for leak in leaks]
    write_rows(proof, told, columns=COLUMNS)
    first = leaks[0]
    how = first["correlation"]
    raise DataError(
        proof,
        f"no item may be in two of the given splits, and {len(leaks)} "
        f"{'pairs do' if len(leaks) > 1 else 'pair does'}; first: {first['path_a']} in "
        f"{first['split_a']} and {first['path_b']} in {first['split_b']}, "
        + (how if how == IDENTICAL else f"{how} alike"),
        remedy="give both one split, remove one, or set clean.leaks to drop"
        + (
            f"; if they only look alike ({resembling}), set clean.near_duplicates to report, or "
            "raise clean.near_correlation"
            if len(nearly)
            else ""
        ),
    )
