"""Every policy's runs brought together and set against the baseline's."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import TypeAlias

import numpy as np

from policies import Array
from trainer.compare.outcome import Outcome
from trainer.compare.statistics import Paired, cost_to_reach, mean, paired

# A run whose total cost is further from the budget than this was not run at equal cost.
TOLERANCE = 0.01

Number: TypeAlias = Callable[[Outcome], float]


@dataclass(frozen=True, kw_only=True)
class Standing:
    """A policy's finished runs beside the baseline's of the same seeds.

    Attributes:
        name: Of the policy.
        runs: Its finished runs.
        failed: Seeds whose runs failed.
        mean_difference: Of the mean loss over domains.
        worst_difference: Of the loss of the worst domain, which need not be the same one.
        domain_differences: Of the loss of each domain.
        test_mean_difference: Of the mean loss on the test split; None if it was not touched.
        test_worst_difference: Of the worst on the test split.
        cost_to_reach: Total cost until the baseline's final mean loss, tokens, mean over the seeds
            that came to it; NaN if none did.
        reached: How many did.
        time_ratio: Median over seeds of the seconds per step over the baseline's; NaN if unknown.
    """

    name: str
    runs: tuple[Outcome, ...]
    failed: tuple[int, ...]
    mean_difference: Paired
    worst_difference: Paired
    domain_differences: tuple[Paired, ...]
    test_mean_difference: Paired | None
    test_worst_difference: Paired | None
    cost_to_reach: float
    reached: int
    time_ratio: float

    def average(self, number: Number) -> float:
        """A number of the runs, averaged over seeds; NaN without runs."""
        return mean([number(run) for run in self.runs])

    @property
    def worst_name(self) -> str:
        """The domain that is the worst in most runs."""
        found = Counter(run.worst_name for run in self.runs)
        return found.most_common(1)[0][0] if found else ""

    @property
    def domain_losses(self) -> Array:
        """Bits per byte of each domain, averaged over seeds, shape (k,)."""
        losses: Array = np.mean([run.bits_per_byte for run in self.runs], axis=0)
        return losses

    def over_budget(self, budget: float) -> float:
        """Mean total cost above the budget, as a part of it."""
        return self.average(lambda run: run.total_cost) / budget - 1

    def off_budget(self, budget: float) -> bool:
        """Whether any run's total cost was too far from the budget to compare it."""
        return any(abs(run.total_cost / budget - 1) > TOLERANCE for run in self.runs)


def standings(
    outcomes: Mapping[str, Sequence[Outcome]], failed: Mapping[str, Sequence[int]], baseline: str
) -> list[Standing]:
    """All policies against the baseline, in the order given.

    Args:
        outcomes: Finished runs by policy.
        failed: Seeds whose runs failed, by policy.
        baseline: Name of the policy to compare with.
    """
    base = {run.seed: run for run in outcomes[baseline]}
    return [
        _standing(name, runs, base, tuple(failed.get(name, ()))) for name, runs in outcomes.items()
    ]


def _standing(
    name: str, runs: Sequence[Outcome], base: Mapping[int, Outcome], failed: tuple[int, ...]
) -> Standing:
    pairs = [(run, base[run.seed]) for run in runs if run.seed in base]

    def difference(number: Number) -> Paired:
        return paired([number(one) for one, _ in pairs], [number(other) for _, other in pairs])

    domains = range(len(runs[0].names)) if runs else range(0)
    tested = bool(pairs) and all(
        run.test_bits_per_byte is not None for pair in pairs for run in pair
    )
    costs = [cost_to_reach(*one.curve, other.mean) for one, other in pairs]
    reached = [cost for cost in costs if not math.isnan(cost)]
    ratios = [
        one.seconds_per_step / other.seconds_per_step
        for one, other in pairs
        if one.seconds_per_step and other.seconds_per_step
    ]
    return Standing(
        name=name,
        runs=tuple(runs),
        failed=failed,
        mean_difference=difference(lambda run: run.mean),
        worst_difference=difference(lambda run: run.worst),
        domain_differences=tuple(difference(_loss_of(domain)) for domain in domains),
        test_mean_difference=difference(mean_on_test) if tested else None,
        test_worst_difference=difference(worst_on_test) if tested else None,
        cost_to_reach=mean(reached),
        reached=len(reached),
        time_ratio=median(ratios) if ratios else math.nan,
    )


def _loss_of(domain: int) -> Number:
    return lambda run: float(run.bits_per_byte[domain])


def mean_on_test(run: Outcome) -> float:
    """Mean loss over domains on the test split; NaN if it was not touched."""
    losses = run.test_bits_per_byte
    return math.nan if losses is None else float(losses.mean())


def worst_on_test(run: Outcome) -> float:
    """Loss of the worst domain on the test split; NaN if it was not touched."""
    losses = run.test_bits_per_byte
    return math.nan if losses is None else float(losses.max())
