"""What `rootstock data strip` says at its end."""

from pathlib import Path

from pipeline.raw.visible import visible
from pipeline.strip.run import Summary


def told(summary: Summary, raw: Path, out: Path, *, is_masked: bool) -> str:
    """Return the lines: what was written, found and left out, and what to do next.

    Args:
        summary: What became of all files.
        raw: The raw folder.
        out: Its copy.
        is_masked: Whether what was found is gone: not so for texts that were kept.
    """
    found = ", ".join(f"{kind} in {n}" for kind, n in summary.kinds.most_common()) or "nothing"
    written = f"{summary.files} files of items are written, {summary.changed} of them changed"
    lines = [
        f"{raw} -> {out}: {written}, {summary.bytes_less:,} bytes less",
        f"  {'taken out' if is_masked else 'found and kept (--texts mask masks it)'}: {found}",
    ]
    if summary.notes:
        lines.append(
            f"  copied as they are, whatever they hold: {len(summary.notes)} files beside the "
            f"items; first: {visible(summary.notes[0])!r}"
        )
    lines += [f"  left out: {visible(path)!r}: {visible(why)}" for path, why in summary.left_out]
    if summary.ignored:
        lines.append(f"  left out: {summary.ignored} hidden or system entries")
    lines.append(f"next: `dvc add {out}`, then write data.path: {out} in params.yaml")
    return "\n".join(lines) + "\n"
