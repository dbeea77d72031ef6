"""Where the documents of a lane went, read from the figures that datatrove keeps of each task."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from mixer.pipeline.configuration import Lane
from mixer.pipeline.lane_receipt import Tally
from mixer.pipeline.per_lane import IN, OUT, SECONDS
from mixer.pipeline.stages import EXACT, NEAR, READ, SOUND, STEP, Stage, cause
from mixer.pipeline.text_reader import QUARANTINED
from mixer.pipeline.workplace import Workplace

DROPPED = "dropped_"
Figures = Mapping[str, float]


def tally(work: Workplace, stages: Sequence[Stage], lane: Lane) -> Tally:
    """Add up what became of a lane's documents in all its tasks.

    Args:
        work: Where the stages left their figures.
        stages: The stages, all done.
        lane: The lane.
    """
    read, lost, seconds = 0, Counter[str](), 0.0
    quarantined, removed = Counter[str](), Counter[str]()
    for stage in stages:
        for rank in stage.routes.ranks(lane):
            figures: Figures = {}
            for title, figures in _blocks(work.stage(stage.name) / "stats" / f"{rank:05d}.json"):
                if title == READ:
                    bad = _starting(figures, QUARANTINED)
                    read += round(figures[OUT]) + bad.total()
                    quarantined += bad
                elif title == SOUND:
                    quarantined += _starting(figures, DROPPED)
                elif title.startswith(STEP):
                    removed += _removed(lane, int(title.removeprefix(STEP)), figures)
                elif stage is stages[-1]:
                    lost[title] += round(figures[IN] - figures[OUT])
            # The last block's time is that of the task.
            seconds += figures[SECONDS]
    return Tally(
        read=read,
        quarantined=dict(quarantined),
        removed=dict(removed),
        exact_duplicates=lost[EXACT],
        near_duplicates=lost[NEAR],
        seconds=seconds,
    )


def _blocks(path: Path) -> list[tuple[str, Figures]]:
    """Title and totals of each block of a task."""
    blocks = json.loads(path.read_text(encoding="utf-8"))
    return [
        (
            block["name"].partition(": ")[2],
            {
                key: value["total"] if isinstance(value, Mapping) else value
                for key, value in block["stats"].items()
            },
        )
        for block in blocks
    ]


def _starting(figures: Figures, start: str) -> Counter[str]:
    return Counter(
        {
            key.removeprefix(start): round(value)
            for key, value in figures.items()
            if key.startswith(start)
        }
    )


def _removed(lane: Lane, at: int, figures: Figures) -> Counter[str]:
    """What a step has removed, by its reasons where it gives any."""
    if at >= len(lane.steps):
        return Counter()
    name = cause(lane, at)
    reasons = _starting(figures, DROPPED)
    found = Counter({f"{name}: {reason}": count for reason, count in reasons.items()})
    if rest := round(figures[IN] - figures[OUT]) - reasons.total():
        found[name] = rest
    return found
