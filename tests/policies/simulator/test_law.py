from __future__ import annotations

import numpy as np
import pytest
from small_scenarios import small

from policies.simulator.law import gradient, jacobian, loss, slope, training_loss, worth
from policies.simulator.transfer import Transfer

NEGATIVE = np.array([[1.0, -0.4, -0.3], [0.2, 1.0, 0.0], [-0.5, 0.3, 1.0]])


@pytest.mark.parametrize("tau", [None, NEGATIVE])
@pytest.mark.parametrize("scale", [1e-4, 0.3, 5.0])
def test_derivatives_equal_finite_differences(tau: np.ndarray | None, scale: float) -> None:
    scenario = small(3, tau=tau)
    exposure = np.array([1.0, 3.0, 0.5]) * scale * 1e5
    found = jacobian(scenario, exposure)
    step = 1e-4 * exposure
    for domain in range(3):
        move = np.where(np.arange(3) == domain, step, 0)
        difference = loss(scenario, exposure + move) - loss(scenario, exposure - move)
        np.testing.assert_allclose(
            found[:, domain], difference / (2 * step[domain]), rtol=1e-5, atol=1e-16
        )
    weights = np.array([0.2, 0.5, 0.3])
    np.testing.assert_allclose(
        gradient(scenario, exposure, weights * slope(scenario, exposure)),
        weights @ found,
        rtol=1e-12,
    )


def test_loss_by_hand() -> None:
    scenario = small(2, tau=np.array([[1.0, 0.5], [0.0, 1.0]]))
    unique, decay = scenario.unique_tokens, scenario.decay
    exposure = np.array([0.5, 3.0]) * unique
    effective = unique * np.array([0.5, 1 + decay[1] * (1 - np.exp(-2 / decay[1]))])
    reached = np.array([effective[0] + 0.5 * effective[1], effective[1]])
    base = 1 + reached / scenario.start_tokens
    expected = scenario.floor + scenario.gain / base**scenario.alpha
    np.testing.assert_allclose(loss(scenario, exposure), expected, rtol=1e-12)


def test_an_untrained_model_costs_floor_and_gain() -> None:
    scenario = small()
    np.testing.assert_allclose(loss(scenario, np.zeros(4)), scenario.floor + scenario.gain)


def test_text_moves_only_the_domains_it_helps() -> None:
    tau = np.eye(4)
    tau[2, 0], tau[3, 0] = 0.5, -0.2
    scenario = small(tau=tau)
    start = np.full(4, 1e5)
    change = loss(scenario, start + np.array([1e4, 0, 0, 0])) - loss(scenario, start)
    assert change[0] < change[2] < 0 < change[3]
    assert change[1] == 0


def test_harm_is_bounded() -> None:
    scenario = small(3, tau=NEGATIVE)
    worst = loss(scenario, np.array([0, 1e12, 1e12]))[0]
    assert worst <= scenario.floor[0] + scenario.gain[0] * 2 ** scenario.alpha[0]
    assert worst > scenario.floor[0] + scenario.gain[0]
    assert slope(scenario, np.array([0, 1e12, 1e12]))[0] > 0


def test_repeats_are_worth_less_and_less() -> None:
    scenario = small()
    values = [worth(scenario, readings * scenario.unique_tokens)[0] for readings in (0.5, 1, 2, 9)]
    assert values[0] == values[1] == 1
    assert 1 > values[2] > values[3] > 0


def test_repeated_text_looks_better_than_it_is() -> None:
    scenario = small()
    exposure = np.full(4, 1e5)
    gap = [
        loss(scenario, exposure) - training_loss(scenario, exposure, np.full(4, epochs))
        for epochs in (0.7, 1.0, 4.0, 30.0)
    ]
    np.testing.assert_array_equal(gap[:2], 0)
    assert (gap[2] > 0).all()
    assert (gap[3] > gap[2]).all()
    assert (gap[3] < scenario.memorisation * loss(scenario, exposure)).all()


def test_transfer_is_sparse_and_says_the_same() -> None:
    matrix = NEGATIVE
    transfer = Transfer.from_dense(matrix)
    np.testing.assert_array_equal(transfer.dense(), matrix)
    vector = np.array([1.0, 2.0, 5.0])
    np.testing.assert_allclose(transfer.apply(vector), matrix @ vector)
    np.testing.assert_allclose(transfer.pull(vector), matrix.T @ vector)
    assert not transfer.harmless
    assert len(transfer.values) == 5


@pytest.mark.parametrize(
    ("matrix", "message"),
    [
        (np.ones((2, 3)), "must be square"),
        (np.zeros((2, 2)), "diagonal"),
        (np.array([[1, np.nan], [0, 1]]), "finite"),
    ],
)
def test_transfer_refuses(matrix: np.ndarray, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Transfer.from_dense(matrix)


def test_a_cosine_falls_to_a_tenth() -> None:
    scenario = small(schedule="cosine", total_steps=1000)
    rates = scenario.learning_rates
    assert (np.diff(rates) < 0).all()
    np.testing.assert_allclose([rates[0], rates[-1]], [1e-3, 1e-4], rtol=1e-3)
    np.testing.assert_allclose(scenario.token_worth.mean(), 1)
    np.testing.assert_array_equal(small().token_worth, 1)
