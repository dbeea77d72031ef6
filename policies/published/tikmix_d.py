"""TiKMiX-D: the mixture of the greatest group influence, by a convex program."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal, NamedTuple, final

import numpy as np

from policies.programs import load_cvxpy, on_simplex, relative_entropy, solve
from policies.published.tikmix import TiKMiX
from policies.signals import Array


@final
@dataclass(frozen=True, kw_only=True)
class TiKMiXD(TiKMiX):
    """TiKMiX-D (2025, arXiv 2508.17677): optimise group influence without harm to any domain.

    Once per stage, with S[i, j] the influence of training on domain j on domain i and
    P_i = (S w)_i / (max_j S[i, j] + 1e-8), the next mixture is

        argmin_w  a std(P) - b sum_i P_i - g Entropy(w)   subject to   S w >= S prior,

    w on the simplex. The prior itself always satisfies the constraint. Influence here is the inner
    product of the validation gradient of i with the training gradient of j; the paper's has an
    inverse Hessian (EK-FAC) between them, which the gradients of a training step do not give. The
    paper solves with SLSQP from the uniform mixture; the program is convex, so any solver that
    converges finds the same.

    Influence is linear in the mixture and measured at one point of the run; far from the mixture in
    force, and late in a stage, it says little. Text that was read before counts as fresh.

    Cost: gradients of all domains at ``average_over`` steps of each stage, and one solve per stage:
    some 10 ms at 20 domains, about a second at 200, then growing with the cube of their number.

    Args:
        balance: a, strength of the spread of the influences.
        gain: b, strength of their sum.
        entropy: g, strength of the pull to an even mixture.
        update_every: Steps of a stage; a fifth of the run if not given, as published.
        average_over: Measurements averaged in an influence: the steps before a change at which
            gradients are measured. Older ones fade at the rate 1 / average_over.
        even: The mixture that the entropy pulls to: "prior", by -KL(w || prior), so that without
            any influence the prior stays; or "uniform", as published. The same for a uniform prior.
    """

    even: Literal["prior", "uniform"] = "prior"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.even not in ("prior", "uniform"):
            raise ValueError(f"even must be 'prior' or 'uniform', got {self.even!r}")

    def _mixture(self, rows: Array, prior: Array, seed: tuple[int, int]) -> Array | None:
        del seed
        reference = prior if self.even == "prior" else np.full(len(prior), 1 / len(prior))
        program = _program(len(prior), self.balance, self.gain, self.entropy)
        program.rows.value = rows
        program.floor.value = rows @ prior
        program.log_reference.value = np.log(np.where(prior > 0, reference, 1.0))
        program.most.value = (prior > 0).astype(np.float64)
        if not solve(program.problem):
            return None
        return on_simplex(np.where(prior > 0, program.weights.value, 0.0))


def objective(weights: Array, rows: Array, balance: float, gain: float, entropy: float) -> Array:
    """``a std(P) - b sum(P) - g Entropy(w)`` of mixtures, shape (..., k), to be made small."""
    influence = weights @ rows.T
    logarithm = np.log(np.where(weights > 0, weights, 1.0))
    value: Array = (
        balance * influence.std(axis=-1)
        - gain * influence.sum(axis=-1)
        + entropy * (weights * logarithm).sum(axis=-1)
    )
    return value


class _Program(NamedTuple):
    """The program for any influences; its parameters are set for each solve."""

    problem: Any
    weights: Any
    rows: Any
    floor: Any
    log_reference: Any
    most: Any


@lru_cache(maxsize=8)
def _program(num_domains: int, balance: float, gain: float, entropy: float) -> _Program:
    cp = load_cvxpy()
    weights, influence = cp.Variable(num_domains), cp.Variable(num_domains)
    rows = cp.Parameter((num_domains, num_domains))
    floor, log_reference = cp.Parameter(num_domains), cp.Parameter(num_domains)
    most = cp.Parameter(num_domains, nonneg=True)
    spread = cp.norm(influence - cp.sum(influence) / num_domains) / np.sqrt(num_domains)
    pull = relative_entropy(weights, log_reference)
    problem = cp.Problem(
        cp.Minimize(balance * spread - gain * cp.sum(influence) + entropy * pull),
        [
            influence == rows @ weights,
            influence >= floor,
            weights >= 0,
            weights <= most,
            cp.sum(weights) == 1,
        ],
    )
    return _Program(problem, weights, rows, floor, log_reference, most)
