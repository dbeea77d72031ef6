"""How losses follow from the text that was drawn.

Domain j gains exposure with every token drawn of it: 1 by default, more while the learning rate is
above its mean, less while the domain is less useful. Repeats saturate, domains help each other, and
a domain's loss is a power law of what reaches it:

    D_j = U_j r_eff(m_j / U_j)                      m_j exposure, U_j unique tokens
    A_i = sum_j tau_ij D_j
    L_i = E_i + B_i (1 + A_i / d0)^(-alpha_i)       bits per byte

With tau >= 0 this is convex in the exposures: r_eff is concave, the power convex and decreasing.
Where tau has negative entries it is not, and A_i may fall below zero. There 1 + z is continued by
1 + z / (1 - 2z), which has the same slope at zero and never falls below 1/2: harm can make a
domain worse than untrained, but not without bound.

Sources: the saturation of repeats is that of arXiv 2605.12715, the sum over domains with transfer
that of arXiv 2510.22037.
"""

from __future__ import annotations

import numpy as np

from policies.repetition import effective_epochs, marginal_value
from policies.signals import Array
from policies.simulator.scenario import Scenario


def loss(scenario: Scenario, exposure: Array) -> Array:
    """Loss of each domain in bits per byte at these exposures, both of shape (k,)."""
    return loss_and_slope(scenario, exposure)[0]


def slope(scenario: Scenario, exposure: Array) -> Array:
    """Fall of each domain's loss per fresh token that reaches it, ``-dL_i / dA_i``, shape (k,)."""
    return loss_and_slope(scenario, exposure)[1]


def loss_and_slope(scenario: Scenario, exposure: Array) -> tuple[Array, Array]:
    """What `loss` and `slope` say, at the price of one of them."""
    base, growth = _base(scenario, exposure)
    reducible = scenario.gain * base**-scenario.alpha
    fall: Array = scenario.alpha * reducible / base * growth / scenario.start_tokens
    return scenario.floor + reducible, fall


def worth(scenario: Scenario, exposure: Array) -> Array:
    """Fresh tokens that one more of each domain is worth, ``dD_j / dm_j``, shape (k,)."""
    return marginal_value(exposure / scenario.unique_tokens, scenario.decay)


def jacobian(scenario: Scenario, exposure: Array) -> Array:
    """``dL_i / dm_j``: row = domain evaluated, column = domain trained on, shape (k, k)."""
    fall, value = slope(scenario, exposure), worth(scenario, exposure)
    return -fall[:, None] * scenario.transfer.dense() * value


def gradient(scenario: Scenario, exposure: Array, fall: Array) -> Array:
    """Gradient of a weighted sum of losses by the exposures, without the k x k matrix.

    Args:
        scenario: The scenario.
        exposure: Shape (k,).
        fall: Each domain's `slope` times its weight in the sum, shape (k,).

    Returns:
        Shape (k,).
    """
    return -worth(scenario, exposure) * scenario.transfer.pull(fall)


def training_loss(scenario: Scenario, exposure: Array, epochs: Array) -> Array:
    """Mean loss of each domain's training text in bits per byte, shape (k,).

    Text read for the first time costs what held-out text costs. Repeated text is remembered: its
    loss falls short of that by a part that grows with the repeats towards ``memorisation``.
    """
    repeats = np.maximum(epochs - 1, 0.0)
    remembered = -np.expm1(-repeats / scenario.decay)
    return loss(scenario, exposure) * (1 - scenario.memorisation * remembered)


def _base(scenario: Scenario, exposure: Array) -> tuple[Array, Array]:
    """``1 + A / d0`` with its continuation below zero, and its derivative by A / d0; (k,) each."""
    epochs = exposure / scenario.unique_tokens
    effective = scenario.unique_tokens * effective_epochs(epochs, scenario.decay)
    reached = scenario.transfer.apply(effective) / scenario.start_tokens
    below = np.minimum(reached, 0.0)
    shrink = 1 / (1 - 2 * below)
    return 1 + np.maximum(reached, 0.0) + below * shrink, shrink**2
