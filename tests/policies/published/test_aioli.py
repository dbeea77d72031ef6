from __future__ import annotations

import timeit
from collections.abc import Callable
from dataclasses import replace
from typing import Any, Literal, get_args

import numpy as np
import pytest
from golden import golden, numbers, training_feedback, uniform_task

from policies import Feedback, Signal, Task
from policies.contract import check_policy
from policies.published.aioli import Aioli, AioliState
from policies.shuffle import shuffled
from policies.signals import Array, ValidationLoss
from policies.synthetic import make_feedback, make_signals, make_task

Variant = Literal["paper", "released", "centred"]
VARIANTS = get_args(Variant)
ByStep = Callable[[int], Array]


def validation(loss: Array) -> dict[Signal, Any]:
    return {Signal.VALIDATION_LOSS: ValidationLoss(loss, loss / 3, np.zeros(len(loss)))}


def planted(size: int) -> Array:
    """Drops per step and unit share; row = evaluated. Asymmetric, and domain 1 helps most."""
    transfer = 0.01 * np.random.default_rng(size).uniform(0, 1, (size, size))
    transfer[:, 1 % size] += 0.01
    return transfer


def played(
    policy: Aioli,
    task: Task,
    steps: int,
    transfer: Array,
    *,
    common: ByStep = lambda step: np.zeros(1),
    spoil: Callable[[int, Array], Array] = lambda step, loss: loss,
    batch: Callable[[Feedback], Feedback] = lambda feedback: feedback,
    delay: int = 0,
) -> tuple[list[AioliState], Array]:
    """Losses that fall linearly with the realised shares, and by what is common to all steps.

    Returns:
        The states after each feedback, and the weights of each step.
    """
    loss = np.full(task.num_domains, 50.0)
    state, waiting, states, weights = policy.init(task), [], [], []
    for step in range(steps):
        decision = policy.decide(state, step)
        weights.append(decision.weights)
        feedback = batch(make_feedback(task, decision.weights, step))
        loss = loss - transfer @ (feedback.counts / feedback.counts.sum()) - common(step)
        if decision.signals:
            feedback = replace(feedback, signals=validation(spoil(step, loss)))
        waiting.append(feedback)
        if len(waiting) > delay:
            state = policy.update(state, waiting.pop(0))
            states.append(state)
    return states, np.array(weights)


def exact_counts(focus: float, size: int, domain: int) -> list[int]:
    """Domains of a smallest batch that has exactly the perturbed mixture."""
    others = 0 if focus == 1 else 1
    number = 1 if focus == 1 else round(focus / (1 - focus) * (size - 1))
    return [other for other in range(size) for _ in range(number if other == domain else others)]


@golden("aioli__aioli_*")
def test_trajectories_of_the_authors_code(
    recording: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    given, size = recording["hyperparameters"], recording["k"]
    intervals = given["lp_rounds"] * size
    forgets = given["ema"] is not None or given["aioli_prior"] is not None
    policy = Aioli(
        variant="released" if forgets else "paper",
        eta=given["eta"],
        update_every=intervals + 1,
        sweeps=given["lp_rounds"],
        interval_steps=1,
        focus=given["one_hot_factor"],
        prior_steps=1 + given["prior_steps"],
        ema=given["ema"],
        normalise=given["normalize_A"],
        diagonal=given["diagonal"],
    )
    task = replace(uniform_task(size), prior=numbers(recording["initial"]["weights"]))
    rounds = recording["steps"]

    def recorded_order(ranks: Array, seed: int, number: int, sweep: int) -> Array:
        order = np.array(rounds[number]["inputs"]["sweep_order"], dtype=np.int64)
        return order[sweep * size : (sweep + 1) * size]

    monkeypatch.setattr("policies.published.aioli.shuffled", recorded_order)
    state, step = policy.init(task), policy.prior_steps - 1
    np.testing.assert_allclose(policy.decide(state, step).weights, task.prior, atol=1e-9, rtol=0)
    for one in rounds:
        inputs = one["inputs"]
        losses = [inputs["loss_before"], *inputs["losses_after_each"]]
        for domain, loss in zip([0, *inputs["sweep_order"]], losses, strict=True):
            decision = policy.decide(state, step)
            assert decision.signals == {Signal.VALIDATION_LOSS}
            drawn = exact_counts(given["one_hot_factor"], size, domain)
            if loss is not losses[0]:
                share = np.bincount(drawn, minlength=size) / len(drawn)
                np.testing.assert_allclose(decision.weights, share, atol=1e-12, rtol=0)
            feedback = training_feedback(task, step, decision.weights, drawn, np.ones(len(drawn)))
            feedback = replace(feedback, signals=validation(numbers(loss)))
            state, step = policy.update(state, feedback), step + 1
        found = policy.decide(state, step).weights
        np.testing.assert_allclose(found, one["weights"], atol=1e-9, rtol=0)
        np.testing.assert_allclose(state.transfer, one["state"]["A_learned"], atol=1e-9, rtol=0)
        used = one["state"].get("A_ema") or one["state"]["A_used"]
        np.testing.assert_allclose(state.normalised, used, atol=1e-9, rtol=0)


@pytest.mark.parametrize(
    "settings",
    [
        *({"variant": variant} for variant in VARIANTS),
        {"variant": "released", "ema": 0.5},
        {"ema": 0.0, "diagonal": True, "unit": "bits_per_byte"},
        {"variant": "centred", "normalise": False},
    ],
)
@pytest.mark.parametrize("size", [1, 2, 13])
def test_contract(settings: dict[str, Any], size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    # A round must fit into the steps of the check, twice where domains are few.
    monkeypatch.setattr("policies.contract.STEPS", max(size + 5, 8))
    short = {"update_every": size + 2, "sweeps": 1, "interval_steps": 1, "prior_steps": 2}
    check_policy(Aioli(**{"eta": 2.0, **short, **settings}), sizes=[size])


def test_many_domains() -> None:
    size = 2000
    policy, task = Aioli(update_every=40_000), make_task(size, total_steps=100_000)
    state = policy.init(task)
    for step in range(3):
        decision = policy.decide(state, step)
        feedback = make_feedback(task, decision.weights, step)
        signals = {kind: make_signals(task, step)[kind] for kind in decision.signals}
        state = policy.update(state, replace(feedback, signals=signals))
    seconds = min(
        timeit.repeat(
            lambda: policy.update(state, make_feedback(task, policy.decide(state, 3).weights, 3)),
            number=1,
        )
    )
    assert seconds < 0.1


@pytest.mark.parametrize("size", [1, 2, 7, 13])
def test_every_sweep_tries_every_domain_as_often(size: int) -> None:
    policy = Aioli(sweeps=2, interval_steps=3, update_every=6 * size + 4, prior_steps=5)
    task = make_task(size)
    state, orders = policy.init(task), []
    for number in range(2):
        first = 5 + number * policy.update_every
        steps = range(first, first + 6 * size)
        decisions = [policy.decide(state, step) for step in steps]
        emphasised = np.array([np.argmax(one.weights) for one in decisions])
        for sweep in np.split(emphasised, 2):
            assert (np.bincount(sweep, minlength=size) == 3).all()
            assert (sweep.reshape(size, 3) == sweep[::3, None]).all()
            orders.append(tuple(sweep))
        shares = np.mean([one.weights for one in decisions], axis=0)
        np.testing.assert_allclose(shares, 1 / size)
        ends = [bool(one.signals) for one in decisions]
        assert ends == [False, False, True] * (2 * size)
        if size > 1:
            np.testing.assert_allclose(np.max([one.weights for one in decisions], axis=1), 0.75)
        between = [policy.decide(state, steps.stop + later) for later in range(4)]
        assert [bool(one.signals) for one in between] == [False, False, False, True]
        for one in between:
            np.testing.assert_allclose(one.weights, task.prior)
    if size > 7:
        assert len(set(orders)) == 4


def test_another_seed_is_another_order() -> None:
    policy, task = Aioli(update_every=300), make_task(13)
    ranks = policy.init(task).ranks
    assert (shuffled(ranks, 0, 0, 0) != shuffled(ranks, 1, 0, 0)).any()
    paths = [
        [policy.decide(policy.init(replace(task, seed=seed)), step).weights for step in range(50)]
        for seed in (0, 1)
    ]
    assert (np.array(paths[0]) != np.array(paths[1])).any()


@pytest.mark.parametrize("prior_steps", [0, 1, 9])
def test_prior_comes_first(prior_steps: int) -> None:
    policy, task = Aioli(prior_steps=prior_steps), make_task(4)
    state, first = policy.init(task), max(prior_steps, 1)
    for step in range(first):
        decision = policy.decide(state, step)
        np.testing.assert_allclose(decision.weights, task.prior, atol=1e-12)
        assert bool(decision.signals) == (step == first - 1)
    assert policy.decide(state, first).weights.max() == 0.75


@pytest.mark.parametrize("delay", [0, 1])
@pytest.mark.parametrize("size", [2, 3, 7, 13])
def test_planted_transfer_is_recovered(size: int, delay: int) -> None:
    """With the orientation, from realised shares, and whenever feedback arrives."""
    transfer = planted(size)
    policy = Aioli(update_every=16 * size + 5)
    states, _ = played(policy, make_task(size), 16 * size + 3, transfer, delay=delay)
    per_interval = policy.interval_steps * transfer
    np.testing.assert_allclose(states[-1].transfer, per_interval, rtol=1e-7)
    released = replace(policy, variant="released")
    states, _ = played(released, make_task(size), 16 * size + 3, transfer, delay=delay)
    if size in (7, 13):  # Where the batch of 64 cannot hold the mixture as it was meant.
        assert np.abs(states[-1].transfer / per_interval - 1).max() > 1e-3


@pytest.mark.parametrize("variant", VARIANTS)
def test_who_helps_all_gains(variant: Variant) -> None:
    """The column sums decide: a domain that helps, and not one that is helped."""
    transfer = np.full((3, 3), 0.001)
    transfer[:, 1] = 0.01
    transfer[2] *= 2
    policy = Aioli(variant=variant, update_every=60)
    _, weights = played(policy, uniform_task(3), 50, transfer)
    gain = weights[-1] / weights[0]
    assert gain[1] > 1.01
    assert gain[0] < 1
    assert gain[0] == pytest.approx(gain[2])


@pytest.mark.parametrize(
    ("variant", "ema", "cumulates"),
    [("paper", None, True), ("paper", 0.1, False), ("released", 0.1, False)],
)
def test_bound_of_the_average(variant: Variant, ema: float | None, cumulates: bool) -> None:
    """Weights that are a function of the average stay within exp(eta); the paper's do not."""
    policy = Aioli(variant=variant, ema=ema, eta=1.0, sweeps=1, interval_steps=1, update_every=5)
    transfer = np.array([[0.02, 0.0, 0.0], [0.02, 0.0, 0.0], [0.02, 0.0, 0.0]])
    _, weights = played(policy, uniform_task(3), 60, transfer)
    ratio = weights[-1].max() / weights[-1].min()
    if cumulates:
        assert ratio > 100
    else:
        assert ratio == pytest.approx(np.e)


def test_prior_stays_in_the_paper_and_is_forgotten_in_the_code() -> None:
    task = make_task(4)
    flat = np.full((4, 4), 0.01)
    for variant, expected in (("paper", task.prior), ("released", np.full(4, 0.25))):
        _, weights = played(Aioli(variant=variant, ema=0.1), task, 66, flat)
        np.testing.assert_allclose(weights[-1], expected, rtol=1e-6)


def test_common_drop_moves_all_but_the_centred() -> None:
    size, transfer = 7, planted(7)
    per_domain = np.linspace(0.01, 0.05, size)
    moved = {}
    for variant in VARIANTS:
        policy = Aioli(variant=variant, update_every=120, eta=1.0)
        task = make_task(size)
        ends = [
            played(policy, task, 241, transfer, common=common)[1][-1]
            for common in (lambda step: np.zeros(1), lambda step: per_domain)
        ]
        moved[variant] = np.abs(ends[1] - ends[0]).max()
        assert np.abs(ends[0] - task.prior).max() > 0.01
    assert moved["centred"] < 1e-12
    assert min(moved["paper"], moved["released"]) > 1e-3


@pytest.mark.parametrize("size", [2, 7, 13])
def test_centred_steps_keep_their_size(size: int) -> None:
    """The unit of the loss does not decide how far a round goes, nor does what is common."""
    transfer = np.zeros((size, size))
    transfer[:, 0] = 1.0
    for unit in (1e-3, 1e-2):
        policy = Aioli(variant="centred", update_every=16 * size + 5)
        states, _ = played(policy, uniform_task(size), 16 * size + 2, unit * transfer)
        gain = states[-1].exponent[0] - states[-1].exponent[1]
        # Row 0 of the centred matrix: (k - 1) / k once, -1 / k for all others.
        assert gain == pytest.approx(policy.eta * size**2 / (2 * (size - 1)), rel=1e-6)


def test_target_weighs_the_domains_evaluated() -> None:
    target, policy = np.array([1.0, 0.0, 0.0]), Aioli(update_every=60)
    states, _ = played(policy, uniform_task(3, target=target), 50, planted(3))
    last = states[-1]
    np.testing.assert_allclose(last.exponent, 3 * policy.eta * last.normalised[0])


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_missing_loss_spoils_no_more_than_its_drops(variant: Variant) -> None:
    transfer, task = planted(3), uniform_task(3)
    policy = Aioli(variant=variant, update_every=60)

    def spoil(step: int, loss: Array) -> Array:
        """Domain 0 is unknown once in the second round, domain 1 always from then on."""
        first = step == 60 + 8
        return np.where([first, step > 60, False], np.nan, loss)

    batch = lambda feedback: replace(  # noqa: E731
        feedback, counts=np.round(24 * feedback.weights).astype(np.int64)
    )
    states, _ = played(policy, task, 112, transfer, spoil=spoil, batch=batch)
    clean, _ = played(policy, task, 112, transfer, batch=batch)
    one, two = states[-1], clean[-1]
    assert one.rounds == two.rounds == 2
    assert (one.sweeps.number[0] < 4).any()
    np.testing.assert_allclose(one.transfer, two.transfer, rtol=1e-7)
    np.testing.assert_array_equal(one.transfer[1], states[60].transfer[1])
    np.testing.assert_allclose(one.exponent, two.exponent, rtol=1e-6)


@pytest.mark.parametrize("variant", VARIANTS)
def test_without_measurements_nothing_moves(variant: Variant) -> None:
    policy, task = Aioli(variant=variant, update_every=60), make_task(3)
    nothing = lambda step, loss: np.full(3, np.nan)  # noqa: E731
    states, weights = played(policy, task, 170, planted(3), spoil=nothing)
    assert states[-1].rounds == 0
    np.testing.assert_allclose(weights[-1], task.prior)


def test_steps_of_the_run_are_not_wasted_on_a_round_cut_short() -> None:
    policy = Aioli(sweeps=1, interval_steps=4, update_every=20)
    task = replace(make_task(3), total_steps=52)
    states, weights = played(policy, task, 52, planted(3))
    assert states[-1].rounds == 2
    assert not policy.decide(states[-1], 40).signals
    np.testing.assert_allclose(weights[41:], weights[40:41].repeat(11, axis=0))
    longer = replace(task, total_steps=53)
    assert policy.decide(policy.init(longer), 41).weights.max() == 0.75


def test_equal_mixtures_break_nothing() -> None:
    """Where constraints undo the perturbation there is nothing to be learnt."""
    same = lambda feedback: replace(feedback, counts=np.array([20, 20, 20]))  # noqa: E731
    for variant in VARIANTS:
        policy = Aioli(variant=variant, update_every=60)
        _, weights = played(policy, uniform_task(3), 130, planted(3), batch=same)
        assert np.isfinite(weights).all()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"variant": "new"}, "variant must be 'paper', 'released' or 'centred', got 'new'"),
        ({"eta": 0.0}, r"eta must be in \(0, 1e6\], got 0.0"),
        ({"eta": np.nan}, r"eta must be in \(0, 1e6\], got nan"),
        ({"sweeps": 0}, "sweeps must be at least 1, got 0"),
        ({"interval_steps": 0}, "interval_steps must be at least 1, got 0"),
        ({"focus": 1.5}, r"focus must be in \(0, 1\], got 1.5"),
        ({"prior_steps": -1}, "prior_steps must not be negative, got -1"),
        ({"ema": 1.0}, r"ema must be in \[0, 1\) or None, got 1.0"),
        ({"variant": "centred", "diagonal": True}, "diagonal must be False with variant"),
        ({"unit": "bits"}, "unit must be 'nats_per_token' or 'bits_per_byte', got 'bits'"),
    ],
)
def test_settings_are_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Aioli(**settings)


@pytest.mark.parametrize(
    ("settings", "changes", "message"),
    [
        ({"update_every": 64}, {}, "update_every must be above .* = 64, got 64: raise it"),
        ({"prior_steps": 937}, {}, "total_steps must leave room for the 64 perturbed .* got 1000"),
        ({"focus": 0.25}, {}, "focus must be above an equal share, 1 / 4, got 0.25"),
        ({}, {"prior": np.array([0.5, 0.5, 0, 0])}, "prior must be positive .* 'd0002'"),
    ],
)
def test_settings_that_do_not_fit_are_refused(
    settings: dict[str, Any], changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        Aioli(**settings).init(replace(make_task(4), **changes))
