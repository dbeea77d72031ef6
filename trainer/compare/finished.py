"""The finished runs in a comparison's folder, also while others are still under way."""

from __future__ import annotations

import re
from pathlib import Path

from trainer.compare.outcome import Outcome, read_outcome
from trainer.summary import FILE_NAME, load_summary


def finished_outcomes(folder: Path) -> dict[str, list[Outcome]]:
    """What the runs that ``glotmix compare`` has finished came to, by policy, seeds in order.

    Policies are in the order of their names. Reads only what runs themselves write, so that it
    needs neither the comparison's configuration nor its end.

    Args:
        folder: That of ``--out``.

    Raises:
        ValueError: It holds no finished run.
    """
    found: dict[str, list[Outcome]] = {}
    for path in sorted(folder.glob(f"*/seed-*/{FILE_NAME}")):
        run = path.parent
        seed = re.fullmatch(r"seed-(\d+)", run.name)
        if seed and load_summary(run)["finished"]:
            policy = run.parent.name
            found.setdefault(policy, []).append(read_outcome(policy, int(seed[1]), run))
    if not found:
        raise ValueError(
            f"folder must be that of glotmix compare, with a finished run in it, got {folder}"
        )
    # Names of folders sort 10 before 2.
    return {
        policy: sorted(runs, key=lambda outcome: outcome.seed) for policy, runs in found.items()
    }
