"""A comparison as Markdown."""

from __future__ import annotations

import math
from collections.abc import Sequence

from trainer.compare.standings import TOLERANCE, Number, Standing, mean_on_test, worst_on_test
from trainer.compare.statistics import Paired

# After a difference: its interval includes zero, or there is none.
NOT_CLEAR = "≈"
# After a cost: further from the budget than may be called equal.
OFF_BUDGET = "‡"
_NONE = "-"


def render(standings: Sequence[Standing], baseline: str, budget: float) -> str:
    """The comparison as Markdown: what it rests on, all policies, all domains.

    Args:
        standings: All policies against the baseline.
        baseline: Name of the baseline.
        budget: Total cost of every run, tokens.
    """
    parts = [
        legend(standings, baseline, budget),
        aligned(_policies(standings, baseline, budget)),
    ]
    if any(standing.test_mean_difference for standing in standings):
        parts += ["Test split, bits per byte:", aligned(_test(standings, baseline))]
    run = [standing for standing in standings if standing.runs]
    if run:
        title = f"Validation split, bits per byte; below each, the difference to {baseline}:"
        parts += [title, aligned(_domains(run, baseline))]
    failures = [
        f"{standing.name}: the run of seed {seed} failed"
        for standing in standings
        for seed in standing.failed
    ]
    return "\n\n".join([*parts, *failures])


def legend(standings: Sequence[Standing], baseline: str, budget: float) -> str:
    """How the table is to be read."""
    others = len(standings) - 1
    lines = [
        "Bits per byte on the validation split after the last step, means over seeds.",
        f"±: half a 95 % interval of the difference to {baseline} on the same seeds (Student's t).",
        f"{NOT_CLEAR}: that interval includes zero, or there is none with one seed: nothing is "
        "claimed.",
        f"cost: training tokens plus what signals cost, over the budget of {budget:,.0f} tokens.",
        f"to its loss: part of the budget until {baseline}'s final mean loss, over the seeds that "
        "came to it.",
        f"time: seconds per step over {baseline}'s, median over seeds, as run here.",
    ]
    if others > 1:
        lines[3:3] = [f"By chance alone {0.05 * others:.2g} of {others} intervals leave zero out."]
    if any(standing.off_budget(budget) for standing in standings):
        lines.append(
            f"{OFF_BUDGET}: a run's cost is more than {TOLERANCE:.0%} from the budget: no "
            "comparison at equal cost."
        )
    # Two spaces at the end of a line break it in Markdown.
    return "  \n".join(lines)


def _policies(standings: Sequence[Standing], baseline: str, budget: float) -> list[list[str]]:
    against = f"against {baseline}"
    head = ["policy", "seeds", "steps", "cost", "mean", against, "worst", "", against]
    rows = [[*head, "wins", "to its loss", "time"]]
    for standing in standings:
        own = standing.name == baseline
        cost = 1 + standing.over_budget(budget)
        mark = f" {OFF_BUDGET}" if standing.off_budget(budget) else ""
        pairs = standing.mean_difference
        to_reach = _number(standing.cost_to_reach / budget, "{:.2f}")
        if 0 < standing.reached < pairs.number:
            to_reach += f" ({standing.reached} of {pairs.number})"
        rows.append(
            [
                standing.name,
                str(len(standing.runs)),
                _number(standing.average(lambda run: run.steps), "{:,.0f}"),
                _number(cost, "{:.1%}") + mark,
                _loss(standing, lambda run: run.mean),
                _NONE if own else difference(pairs),
                _loss(standing, lambda run: run.worst),
                standing.worst_name,
                _NONE if own else difference(standing.worst_difference),
                _NONE if own or not pairs.number else f"{pairs.wins}/{pairs.number}",
                to_reach,
                _number(standing.time_ratio, "{:.2f}"),
            ]
        )
    return rows


def _test(standings: Sequence[Standing], baseline: str) -> list[list[str]]:
    against = f"against {baseline}"
    rows = [["policy", "mean", against, "worst", against]]
    for standing in standings:
        cells = []
        for number, found in (
            (mean_on_test, standing.test_mean_difference),
            (worst_on_test, standing.test_worst_difference),
        ):
            shown = found is not None and standing.name != baseline
            cells += [_loss(standing, number), difference(found) if found and shown else _NONE]
        rows.append([standing.name, *cells])
    return rows


def _domains(standings: Sequence[Standing], baseline: str) -> list[list[str]]:
    """Two rows for each domain, one column for each policy."""
    rows = [["domain", *(standing.name for standing in standings)]]
    for domain, name in enumerate(standings[0].runs[0].names):
        losses = [_number(float(standing.domain_losses[domain])) for standing in standings]
        differences = [
            "" if standing.name == baseline else difference(standing.domain_differences[domain])
            for standing in standings
        ]
        rows += [[name, *losses], ["", *differences]]
    return rows


def difference(pair: Paired) -> str:
    """A difference with half its interval, marked where nothing can be claimed."""
    if math.isnan(pair.difference):
        return _NONE
    half = "" if math.isnan(pair.half) else f" ± {pair.half:.4f}"
    return f"{pair.difference:+.4f}{half}" + ("" if pair.clear else f" {NOT_CLEAR}")


def _loss(standing: Standing, number: Number) -> str:
    return _number(standing.average(number))


def _number(value: float, form: str = "{:.4f}") -> str:
    return form.format(value) if math.isfinite(value) else _NONE


def aligned(rows: Sequence[Sequence[str]]) -> str:
    """Rows of cells as a Markdown table; the first row is the head, the first column names."""
    widths = [max(3, *map(len, column)) for column in zip(*rows, strict=True)]
    rule = ["-" * widths[0], *(f"{'-' * (width - 1)}:" for width in widths[1:])]
    lines = []
    for row in (rows[0], rule, *rows[1:]):
        numbers = [cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True)]
        lines.append("| " + " | ".join([row[0].ljust(widths[0]), *numbers]) + " |")
    return "\n".join(lines)
