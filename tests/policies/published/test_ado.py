from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from golden import golden, numbers, training_feedback, uniform_task

from policies import Task
from policies.contract import check_policy
from policies.published.ado import ADO, ADOState
from policies.published.ado_law import Limits, Points, fit, log_forecast, objective
from policies.signals import Array
from policies.synthetic import make_feedback

FAST: dict[str, Any] = {
    "start_step": 1,
    "refit_every": 4,
    "ignore_steps": 0,
    "smoothing_window": 1,
    "subsample": 1,
    "min_points": 4,
}


def recorded_task(recording: Any) -> Task:
    return replace(uniform_task(recording["k"]), prior=numbers(recording["initial"]["weights"]))


def check_state(state: ADOState, expected: Any, tolerance: float = 1e-9) -> None:
    for found, name in (
        (state.credit, "p_history"),
        (state.average, "p_average"),
        (state.examples, "examples_seen"),
        (state.loss, "last_losses"),
    ):
        np.testing.assert_allclose(found, numbers(expected[name]), rtol=0, atol=tolerance)


@golden("ado__given_fit", "ado__given_fit_own_counts")
def test_recorded_run_with_given_laws(recording: Any) -> None:
    task, given = recorded_task(recording), recording["hyperparameters"]
    policy = ADO(
        variant="released",
        counts="total" if given["use_same_step_size"] else "own",
        start_step=given["start_step"],
        refit_every=10**6,
    )
    state = policy.init(task)
    for step in recording["steps"]:
        inputs = step["inputs"]
        if inputs["parameters"] is not None:
            law = numbers(inputs["parameters"])
            state = state._replace(law=law, fitted=np.ones(task.num_domains, dtype=np.bool_))
        weights = policy.decide(state, inputs["iteration"]).weights
        state = policy.update(
            state,
            training_feedback(
                task, inputs["iteration"], weights, inputs["domain_ids"], inputs["losses"]
            ),
        )
        np.testing.assert_allclose(state.weights, numbers(step["weights"]), rtol=0, atol=1e-9)
        check_state(state, step["state"])


def replayed(recording: Any) -> tuple[ADO, Iterator[tuple[ADOState, Any]]]:
    """The policy of a recording with fits, and its states at the steps that were recorded."""
    task, given = recorded_task(recording), recording["hyperparameters"]
    policy = ADO(
        variant="released",
        counts="total",
        start_step=given["start_step"],
        refit_every=given["update_interval"],
        ignore_steps=given["ignore_steps"],
        min_points=4,
        history=512,
    )

    def states() -> Iterator[tuple[ADOState, Any]]:
        state = policy.init(task)
        for step in recording["steps"]:
            for batch in step["inputs"]["batches"]:
                domain = np.repeat(np.arange(task.num_domains), batch["counts"])
                loss = numbers(batch["losses"])[domain]
                feedback = training_feedback(
                    task, batch["iteration"], state.weights, domain.tolist(), loss.tolist()
                )
                state = policy.update(state, feedback)
            yield state, step

    return policy, states()


def check_fits(recording: Any, tolerance: float) -> None:
    policy, states = replayed(recording)
    for state, step in states:
        np.testing.assert_allclose(state.weights, numbers(step["weights"]), rtol=0, atol=1e-3)
        expected = step["state"]
        np.testing.assert_allclose(
            state.credit, numbers(expected["p_history"]), rtol=0, atol=tolerance
        )
        if "fit_x" not in expected:
            continue
        points = policy.points(state.history)
        examples = np.exp(points.log_examples)
        np.testing.assert_allclose(examples, np.tile(expected["fit_x"], (len(examples), 1)))
        found, loss = np.exp(points.log_loss), numbers(expected["fit_y"])
        np.testing.assert_allclose(found, loss, rtol=0, atol=tolerance * 10)
        # The original counts 0.001 for an exponent in its usual range as well.
        limits = policy.limits(points)
        law = numbers(expected["parameters"])
        recorded = numbers(expected["fit_objective"])
        value = objective(law[:, None], points, limits)[:, 0] - 0.001
        np.testing.assert_allclose(value, recorded, rtol=0, atol=tolerance)
        probes = np.tile(numbers(expected["probe_parameters"]), (len(law), 1, 1))
        value = objective(probes, points, limits) - 0.001
        probed = numbers(expected["probe_objective"])
        np.testing.assert_allclose(value, probed, rtol=0, atol=tolerance * 10)
        own = objective(state.law[:, None], points, limits)[:, 0] - 0.001
        assert (own <= recorded + 1e-7).all()


@golden("ado__own_fit")
def test_recorded_run_with_its_own_fits(recording: Any) -> None:
    check_fits(recording, 1e-9)


@golden("ado__own_fit", single=True)
def test_recorded_run_with_its_own_fits_in_single_precision(recording: Any) -> None:
    check_fits(recording, 2e-6)


@pytest.mark.parametrize("variant", ["paper", "released"])
@pytest.mark.parametrize("counts", ["own", "total"])
def test_contract(variant: Any, counts: Any) -> None:
    check_policy(ADO(variant=variant, counts=counts, **FAST), sizes=[1, 2, 13])


def test_contract_of_other_settings() -> None:
    check_policy(ADO(), sizes=[2])
    smoothed = FAST | {"smoothing_window": 5, "history": 8, "unit": "bits_per_byte"}
    check_policy(ADO(**smoothed), sizes=[13])


def planted(num_points: int = 100, noise: float = 0.0) -> tuple[Array, Points]:
    """Laws of three domains and losses that follow them."""
    law = np.array([[2.0, 0.3, 0.3], [1.0, -1.0, 0.1], [3.0, 0.7, 0.5]])
    log_examples = np.tile(np.log(np.linspace(1e3, 1e6, num_points)), (3, 1))
    errors = noise * np.random.default_rng(0).normal(size=log_examples.shape)
    log_loss = log_forecast(law[:, None], log_examples) + errors
    return law, Points(log_examples, log_loss, np.ones_like(log_loss))


def paper_limits(points: Points) -> Limits:
    return ADO().limits(points)


@pytest.mark.parametrize("num_points", [4, 100])
def test_planted_law_is_found(num_points: int) -> None:
    law, points = planted(num_points)
    found = fit(points, paper_limits(points))
    ahead = np.log(np.array([2e6]))
    np.testing.assert_allclose(log_forecast(found, ahead), log_forecast(law, ahead), atol=1e-3)
    np.testing.assert_allclose(found[[0, 2], 2], law[[0, 2], 2], atol=0.02)


def test_points_not_in_use_and_outliers_do_not_matter() -> None:
    law, points = planted(noise=0.002)
    spoilt = points.log_loss.copy()
    spoilt[:, ::3] += 5.0
    use = np.ones_like(spoilt)
    use[:, ::3] = 0
    half = points._replace(log_loss=spoilt, use=use)
    np.testing.assert_allclose(fit(half, paper_limits(half))[[0, 2], 2], law[[0, 2], 2], atol=0.06)
    spoilt = points.log_loss.copy()
    spoilt[:, 5] += 5.0
    one = points._replace(log_loss=spoilt)
    np.testing.assert_allclose(fit(one, paper_limits(one))[[0, 2], 2], law[[0, 2], 2], atol=0.06)


def test_domains_are_fitted_independently() -> None:
    _, points = planted(noise=0.01)
    alone = Points(*(values[1:2] for values in points))
    np.testing.assert_array_equal(
        fit(points, paper_limits(points))[1:2], fit(alone, paper_limits(alone))
    )


def test_limits_pull_with_a_force_of_one() -> None:
    _, points = planted()
    limits = Limits(np.tile([-np.inf, 0.5, 0.001], (3, 1)), np.tile([6.5, np.inf, 0.8], (3, 1)))
    inside, outside = np.array([1.0, 0.6, 0.2]), np.array([7.0, 0.2, -0.099])
    none = points._replace(use=np.zeros_like(points.use))
    laws = np.tile([inside, outside], (3, 1, 1))
    np.testing.assert_allclose(objective(laws, none, limits), np.tile([0, 0.5 + 0.3 + 0.1], (3, 1)))


def played(policy: ADO, task: Task, steps: int, floor: Array, **changes: Any) -> ADOState:
    """The state after a run in which each domain's loss falls to its floor."""
    state = policy.init(task)
    for step in range(steps):
        level = floor + 3 * (1 + step) ** -0.4
        batch = make_feedback(task, state.weights, step, bits_per_byte=level, noise=0.01)
        state = policy.update(state, replace(batch, **changes))
    return state


QUICK: dict[str, Any] = FAST | {"start_step": 30, "refit_every": 30, "min_points": 20}


def test_released_prior_thinks_low_losses_irreducible_and_paper_does_not() -> None:
    """Both domains fall alike, one to a floor under 1.65 nats."""
    task = replace(uniform_task(2), bytes_per_token=np.full(2, 1 / np.log(2)))
    floor = np.array([0.5, 3.0])
    learnt = {
        variant: played(ADO(variant=variant, **QUICK), task, 70, floor)
        for variant in ("paper", "released")
    }
    assert np.exp(learnt["released"].law[0, 1]) >= 1.6
    assert np.exp(learnt["paper"].law[0, 1]) < 1.2
    assert learnt["paper"].weights[0] > learnt["released"].weights[0] + 0.01


def test_own_counts_know_what_a_domain_has_seen() -> None:
    task = replace(uniform_task(2), prior=np.array([0.8, 0.2]))
    own = played(ADO(**QUICK), task, 10, np.zeros(2))
    assert own.examples[0] > 3 * own.examples[1] > 0
    total = played(ADO(counts="total", **QUICK), task, 10, np.zeros(2))
    assert total.examples[0] == total.examples[1] == own.examples.sum()
    assert total.history.examples.shape == (256, 1)


def test_no_fit_with_fewer_points_than_asked_for() -> None:
    task = uniform_task(3)
    floor = np.ones(3)
    policy = ADO(**(QUICK | {"min_points": 32}))
    early = played(policy, task, 31, floor)
    assert not early.fitted.any()
    np.testing.assert_array_equal(early.weights, task.prior)
    assert played(policy, task, 61, floor).fitted.all()


def test_a_domain_without_a_law_keeps_its_prior_share() -> None:
    task = replace(uniform_task(3), prior=np.array([0.5, 0.3, 0.2]))
    policy = ADO(new_share=1.0, **QUICK)
    state = policy.init(task)
    for step in range(62):
        # The third domain is never drawn.
        batch = training_feedback(task, step, task.prior, [0, 1], [2 / (1 + step), 1.0])
        state = policy.update(state, batch)
    np.testing.assert_array_equal(state.fitted, [True, True, False])
    # Raising the second to the floor has cost it a little.
    assert state.weights[2] == pytest.approx(0.2, rel=0.011)
    assert state.weights[0] > 0.6


def test_missing_domain_repeats_its_loss_or_takes_the_first_batchs_mean() -> None:
    task, policy = uniform_task(3), ADO()
    nothing = training_feedback(task, 0, task.prior, [0], [np.nan])
    state = policy.update(policy.init(task), nothing)
    assert state.history.rows == 0
    first = training_feedback(task, 1, task.prior, [0, 0, 1], [2.0, 4.0, 9.0])
    state = policy.update(state, first)
    np.testing.assert_allclose(state.loss, [3, 9, 5])
    state = policy.update(state, training_feedback(task, 2, task.prior, [2], [7.0]))
    np.testing.assert_allclose(state.loss, [3, 9, 7])


def test_mixture_lags_behind_what_is_preferred() -> None:
    """The running mean starts at the prior and counts steps from the first of training."""
    task, policy = uniform_task(2), ADO(credit_power=0.0, refit_every=10**6, start_step=0)
    law = np.array([[1.0, 0.0, 0.5], [0.0, 0.0, 0.5]])
    state = policy.init(task)._replace(law=law, fitted=np.ones(2, dtype=np.bool_))
    batch = training_feedback(task, 9, task.prior, [0, 1], [2.0, 2.0])
    state = policy.update(state, batch)
    preferred = np.exp([1, 0]) / np.exp([1, 0]).sum()
    np.testing.assert_allclose(state.weights, 0.9 * 0.5 + 0.1 * preferred)
    np.testing.assert_allclose(state.average, 0.9 * 0.5 + 0.1 * preferred)


def test_floor_does_not_level_many_domains() -> None:
    task = uniform_task(400)
    policy = ADO(new_share=1.0, start_step=0, refit_every=10**6, credit_power=0.0)
    law = np.tile([0.0, 0.0, 0.2], (400, 1))
    law[0, 0] = 5.0
    state = policy.init(task)._replace(law=law, fitted=np.ones(400, dtype=np.bool_))
    state = policy.update(state, make_feedback(task, np.full(400, 1 / 400), 0))
    # The published floor of 0.01 is above all other shares: it would leave the first one 0.06.
    assert state.weights[0] == pytest.approx(np.exp(5) / (np.exp(5) + 399))
    none = replace(task, prior=np.r_[0.0, np.full(399, 1 / 399)])
    state = policy.update(
        policy.init(none)._replace(law=law, fitted=np.ones(400, dtype=np.bool_)),
        make_feedback(none, none.prior, 0),
    )
    assert state.weights[0] == 0


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"variant": "best"}, "variant must be 'paper' or 'released', got 'best'"),
        ({"counts": "all"}, "counts must be 'own' or 'total', got 'all'"),
        ({"unit": "bits"}, "unit must be 'nats_per_token' or 'bits_per_byte', got 'bits'"),
        ({"start_step": -1}, "start_step must be at least 0, got -1"),
        ({"ignore_steps": -1}, "ignore_steps must be at least 0, got -1"),
        ({"refit_every": 0}, "refit_every must be at least 1, got 0"),
        ({"subsample": 0}, "subsample must be at least 1, got 0"),
        ({"min_points": 3}, "min_points must be at least 4, got 3"),
        ({"history": 6}, "history must be at least 8, got 6"),
        ({"history": 101}, "history must be even, so that rows pair up, got 101"),
        ({"smoothing_window": 100}, "smoothing_window must be odd and at least 5"),
        ({"smoothing_window": 3}, "smoothing_window must be odd and at least 5"),
        ({"credit_decay": 1.1}, r"credit_decay must be in \[0, 1\], got 1.1"),
        ({"credit_power": -0.1}, r"credit_power must be in \[0, 1\], got -0.1"),
        ({"new_share": np.nan}, r"new_share must be in \[0, 1\], got nan"),
        ({"floor": 2.0}, r"floor must be in \[0, 1\], got 2.0"),
    ],
)
def test_ado_refuses(given: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ADO(**given)
