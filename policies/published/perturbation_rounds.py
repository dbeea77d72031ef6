"""When a run trains on perturbed mixtures: rounds of intervals, as a function of the step."""

from __future__ import annotations

from typing import NamedTuple

from policies.policy import Task


class Place(NamedTuple):
    """Where a step lies.

    Attributes:
        round: Its round, from 0; -1 before the first.
        interval: Its interval in the round, from 0; -1 outside of intervals.
        ends: Whether it ends an interval, or whatever a round of intervals follows: the losses
            must be measured after it.
    """

    round: int
    interval: int
    ends: bool


class Rounds(NamedTuple):
    """Rounds that begin with intervals on perturbed mixtures, as many for each domain.

    Attributes:
        prior_steps: Steps before the first round, at least 1: they end with the losses that the
            first interval starts from.
        update_every: Steps of a round.
        intervals: Intervals of a round.
        interval_steps: Steps of an interval.
        total_steps: Steps of the run.
    """

    prior_steps: int
    update_every: int
    intervals: int
    interval_steps: int
    total_steps: int

    @property
    def perturbed_steps(self) -> int:
        """Steps of a round that belong to intervals."""
        return self.intervals * self.interval_steps

    def check(self) -> None:
        """Check that a round fits into the run and has steps left after its intervals.

        Raises:
            ValueError: It has not; the message names the settings of a policy with such rounds.
        """
        if self.perturbed_steps >= self.update_every:
            raise ValueError(
                f"update_every must be above sweeps * interval_steps * domains = "
                f"{self.perturbed_steps}, got {self.update_every}: "
                f"raise it, or lower sweeps or interval_steps"
            )
        if not self._fits(0):
            raise ValueError(
                f"total_steps must leave room for the {self.perturbed_steps} perturbed steps of a "
                f"round after {self.prior_steps} on the prior, got {self.total_steps}: "
                f"lower sweeps, interval_steps or prior_steps"
            )

    def place(self, step: int) -> Place:
        """Where a step lies. A round whose intervals the run would cut short has none."""
        since = step - self.prior_steps
        if since < 0:
            return Place(-1, -1, since == -1)
        number, position = divmod(since, self.update_every)
        if position < self.perturbed_steps and self._fits(number):
            interval, offset = divmod(position, self.interval_steps)
            return Place(number, interval, offset == self.interval_steps - 1)
        return Place(number, -1, position == self.update_every - 1 and self._fits(number + 1))

    def _fits(self, number: int) -> bool:
        begin = self.prior_steps + number * self.update_every
        return begin + self.perturbed_steps <= self.total_steps


def check_all_tried(task: Task, focus: float) -> None:
    """Check that every domain can be tried, with a share above that of the others.

    Raises:
        ValueError: A domain's prior is zero, or ``focus`` no more than an equal share.
    """
    size = task.num_domains
    if size > 1 and focus * size <= 1 + 1e-6:
        raise ValueError(f"focus must be above an equal share, 1 / {size}, got {focus}: raise it")
    for name, share in zip(task.names, task.prior, strict=True):
        if share <= 0:
            raise ValueError(
                f"prior must be positive for every domain, as each is tried, got 0 for {name!r}: "
                f"give it a share, or leave it out of the corpus"
            )
