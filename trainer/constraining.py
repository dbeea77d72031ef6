"""Between policy and mixture: what a run demands of its mixtures, and what that came to."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from lightning.pytorch.utilities import rank_zero_warn

from policies import Array, Decision, Task
from policies.allocation import Aim, Allocation, Allocator, Constraint


@dataclass(frozen=True, kw_only=True)
class Demands:
    """What a run demands of its mixtures, as `policies.allocation.Allocator` takes it.

    Attributes:
        constraints: The constraints.
        groups: Members of each named group.
        objective: What is made best within the constraints.
        strict: Whether a run stops when constraints cannot be kept any more.
    """

    constraints: Sequence[Constraint] = ()
    groups: Mapping[str, Sequence[str]] = field(default_factory=dict)
    objective: Aim = "kl"
    strict: bool = False

    def account(
        self, task: Task, stray_sequences: float, sequence_length: int
    ) -> ConstraintAccount | None:
        """What keeps the demands in a run; None if there are none.

        Raises:
            ValueError: The demands name what does not exist, or cannot be kept together.
        """
        allocator = Allocator(
            self.constraints,
            self.groups,
            task,
            objective=self.objective,
            strict=self.strict,
            reserve=stray_sequences * sequence_length,
        )
        if not self.constraints:
            return None
        allocator.check()
        texts = [constraint.describe() for constraint in self.constraints]
        return ConstraintAccount(texts, task, allocator)


class ConstraintAccount:
    """Makes the mixture of every step feasible and keeps account of what it took.

    Attributes:
        proposal: What the policy asked for last, shape (k,).
        last: How the mixture in force came about.
        binding_steps: Steps in which each constraint kept the mixture from the proposal, by text.
        price_sum: Sum of each constraint's duals over steps, by unit and text.
        relaxed_steps: Steps in which each constraint was loosened, by text.
        ways: Steps by how their mixture was found.
        failures: Steps in which every solver failed.
    """

    def __init__(self, texts: Sequence[str], task: Task, allocator: Allocator) -> None:
        self._texts = texts
        self._allocator = allocator
        # TensorBoard allows few characters in a name.
        self._tags = {re.sub(r"[^\w.-]+", "_", text).strip("_"): text for text in self._texts}
        self._accounted = -1
        self._warned: set[str] = set()
        self.proposal: Array = task.prior
        self.last = Allocation(self.proposal)
        self.binding_steps: Counter[str] = Counter()
        self.price_sum: dict[str, dict[str, float]] = {}
        self.relaxed_steps: Counter[str] = Counter()
        self.ways: Counter[str] = Counter()
        self.failures = 0

    def feasible(
        self,
        decision: Decision,
        tokens_drawn: Array,
        step: int,
        previous: Array | None,
    ) -> Array:
        """The mixture for a step, shape (k,), given what the policy proposes.

        Args:
            decision: A mixture, and its goal if it has one.
            tokens_drawn: Of each domain before this step, shape (k,).
            step: From 0. A step that is asked for again is accounted for once.
            previous: The mixture of the step before, shape (k,); None before the first.
        """
        found = self._allocator.allocate(
            decision.weights, tokens_drawn, step, previous, decision.goal
        )
        if step > self._accounted:
            self._speak_up(found, tokens_drawn, step)
            self._account(found)
            self._accounted = step
        self.proposal, self.last = decision.weights, found
        return found.weights

    def _account(self, found: Allocation) -> None:
        for text, price in found.binding:
            self.binding_steps[text] += 1
            sums = self.price_sum.setdefault(found.unit, {})
            sums[text] = sums.get(text, 0.0) + price
        self.relaxed_steps.update(found.relaxed)
        self.ways[found.how] += 1
        self.failures += found.failures

    def _speak_up(self, found: Allocation, tokens_drawn: Array, step: int) -> None:
        """Say once per change what is new."""
        if found.relaxed != self.last.relaxed:
            what = (
                f"loosened as little as possible: {', '.join(found.relaxed)}"
                if found.relaxed
                else "all constraints are kept again"
            )
            rank_zero_warn(f"step {step}: {what}")
        for name, warning in self._allocator.warnings(tokens_drawn).items():
            if name not in self._warned:
                self._warned.add(name)
                rank_zero_warn(f"step {step}: {warning}")
        if found.failures and not self.failures:
            rank_zero_warn(f"step {step}: no solver found the nearest mixture; took {found.how}")

    def state_dict(self) -> dict[str, Any]:
        return {
            "accounted": self._accounted,
            "warned": sorted(self._warned),
            "relaxed": list(self.last.relaxed),
            "binding_steps": dict(self.binding_steps),
            "price_sum": {unit: dict(sums) for unit, sums in self.price_sum.items()},
            "relaxed_steps": dict(self.relaxed_steps),
            "ways": dict(self.ways),
            "failures": self.failures,
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self._accounted = state["accounted"]
        self._warned = set(state["warned"])
        self.last = self.last._replace(relaxed=tuple(state["relaxed"]))
        self.price_sum = {unit: dict(sums) for unit, sums in state["price_sum"].items()}
        for name in ("binding_steps", "relaxed_steps", "ways"):
            setattr(self, name, Counter(state[name]))
        self.failures = state["failures"]

    def metrics(self) -> dict[str, float]:
        """What charts should show of the last step, by tag."""
        price, loosened = dict(self.last.binding), set(self.last.relaxed)
        metrics = {
            "constraints/binding": float(len(price)),
            "constraints/solver_failures": float(self.failures),
        }
        for tag, text in self._tags.items():
            metrics[f"constraints/price/{tag}"] = price.get(text, 0.0)
            metrics[f"constraints/loosened/{tag}"] = float(text in loosened)
        return metrics

    def documents(self) -> list[dict[str, Any]]:
        """One record per constraint for a run's summary.

        The mean price is over all steps, in each unit on its own; steps where it was not binding
        count as zero.
        """
        steps = max(self._accounted + 1, 1)
        return [
            {
                "constraint": text,
                "binding_steps": self.binding_steps[text],
                "mean_price": {
                    unit: sums[text] / steps
                    for unit, sums in self.price_sum.items()
                    if text in sums
                },
                "relaxed_steps": self.relaxed_steps[text],
            }
            for text in self._texts
        ]
