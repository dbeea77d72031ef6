from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from golden import golden, numbers, uniform_task

from policies import Policy, Signal, Task
from policies.contract import check_policy
from policies.published.skill_graph import graph_matrix
from policies.published.skill_it import SkillIt, SkillItState, exponents
from policies.signals import Array, ValidationLoss
from policies.simplex import tilt
from policies.synthetic import make_feedback, make_task


def validation(loss: Array) -> dict[Signal, Any]:
    return {Signal.VALIDATION_LOSS: ValidationLoss(loss, loss / 3, np.zeros(len(loss)))}


def named(matrix: Array, task: Task) -> dict[str, dict[str, float]]:
    """A graph from a matrix whose rows are trained on, as the authors have it."""
    rows = [dict(zip(task.names, row, strict=True)) for row in np.array(matrix).tolist()]
    return dict(zip(task.names, rows, strict=True))


def heard(
    policy: SkillIt, task: Task, losses: list[Array], *, delay: int = 0
) -> tuple[SkillItState, Array]:
    """The state in the end, and the weights of each step, if these are the losses after each."""
    state, waiting, weights = policy.init(task), [], []
    for step, loss in enumerate(losses):
        decision = policy.decide(state, step)
        weights.append(decision.weights)
        feedback = make_feedback(task, decision.weights, step)
        waiting.append(
            replace(feedback, signals=validation(loss)) if decision.signals else feedback
        )
        if len(waiting) > delay:
            state = policy.update(state, waiting.pop(0))
    return state, np.array(weights)


def as_recorded(recording: dict[str, Any], unit: int) -> tuple[SkillIt, Task]:
    """The policy and task of a recording, a step standing for so many of the recorded ones."""
    given, task = recording["hyperparameters"], uniform_task(recording["k"])
    prior, first = given.get("mw_prior"), given.get("mw_init")
    if prior or first:
        weights = numbers(prior or first)
        task = replace(task, prior=weights / weights.sum())
    rescale = "by_domain" if given.get("normalize_loss") else "none"
    return SkillIt(
        graph=named(given["graph"], task) if given["graph"] else None,
        variant="released",
        eta=given["eta"],
        window=given["window"],
        update_every=given["update_steps"] // unit,
        evaluate_every=given["ckpt_steps"] // unit,
        targets=tuple(task.names[domain] for domain in given.get("target_ids") or ()),
        start="prior_once" if first else "graph",
        isolated="even" if given.get("ignore_lone_nodes") else "weighted",
        rescale="eta" if given.get("eta_schedule") else rescale,
        halve_edges=given.get("dynamic_lambda", False),
        initial_loss=given.get("initialize_loss", False),
    ), task


@golden(
    "aioli__skillit_*",
    "skill-it__*",
)
def test_trajectories_of_the_authors_code(recording: dict[str, Any]) -> None:
    unit = math.gcd(
        *(recording["hyperparameters"][name] for name in ("update_steps", "ckpt_steps"))
    )
    policy, task = as_recorded(recording, unit)
    counts = [int(name[1:]) for name in policy.targets] or list(range(task.num_domains))
    state, step = policy.init(task), 0
    initial = numbers(recording["initial"]["weights"])
    if recording["hyperparameters"].get("mw_prior"):
        # The authors' first loss is then their prior, which does not sum to one.
        prior = numbers(recording["hyperparameters"]["mw_prior"])
        state = state._replace(exponent=exponents(state.graph, prior, policy.eta))
    start = policy.decide(state, 0).weights
    np.testing.assert_allclose(start, initial, atol=1e-9, rtol=0)
    for one in recording["steps"]:
        inputs, expected = one["inputs"], one["state"]
        steps = [recorded // unit for recorded in inputs["new_losses_at_step"]]
        losses = dict(zip(steps, inputs["new_losses"], strict=True))
        while step < expected["training_step"] // unit:
            decision = policy.decide(state, step)
            assert bool(decision.signals) == (step in losses)
            feedback = make_feedback(task, decision.weights, step)
            if step in losses:
                loss = np.ones(task.num_domains)
                loss[counts if len(losses[step]) < len(loss) else slice(None)] = losses[step]
                feedback = replace(feedback, signals=validation(loss))
            state, step = policy.update(state, feedback), step + 1
        found = policy.decide(state, step).weights
        np.testing.assert_allclose(found, one["weights"], atol=1e-9, rtol=0)
        shown = policy.diagnostics(state)
        total = expected.get("window_loss", expected.get("window_sum"))
        if total is not None:
            np.testing.assert_allclose(shown["window_loss"][counts], total, atol=1e-9, rtol=0)
        if "loss_0" in expected:
            np.testing.assert_allclose(state.first_loss, expected["loss_0"], atol=1e-9, rtol=0)
        assert shown["eta"] == pytest.approx(expected.get("eta_used", policy.eta), abs=1e-9)
        if "graph_after" in expected:
            graph = numbers(expected["graph_after"])
            np.testing.assert_allclose(shown["transfer"].T, graph, atol=1e-9, rtol=0)


def with_graph(**settings: Any) -> Any:
    """Makes the policy with a graph that depends on names and not on places."""

    def make(task: Task) -> Policy:
        number = [int(name[1:]) for name in task.names]
        edges = [[np.cos(one + 2 * other) for other in number] for one in number]
        targets = tuple(name for name in task.names if int(name[1:]) in (0, 3, 7))
        return SkillIt(
            graph=named(edges, task),
            **{"update_every": 2, "evaluate_every": 1, **settings}
            | ({"targets": targets} if settings.get("targets") else {}),
        )

    return make


@pytest.mark.parametrize("size", [1, 2, 13])
@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"variant": "released", "evaluate_every": 2, "update_every": 3, "unit": "bits_per_byte"},
        {"rescale": "by_domain", "halve_edges": True, "targets": True},
        {"rescale": "eta", "initial_loss": True, "start": "prior_once"},
    ],
)
def test_contract(settings: dict[str, Any], size: int) -> None:
    starts = settings.get("start", "graph") != "graph"
    check_policy(with_graph(**settings), sizes=[size], starts_at_prior=starts)


@pytest.mark.parametrize("size", [1, 2, 13, 2000])
def test_contract_without_graph(size: int) -> None:
    check_policy(SkillIt(update_every=2, evaluate_every=1), sizes=[size])


def test_a_helper_gains_and_not_the_helped() -> None:
    """Orientation: training on d0000 lowers the loss of d0001, not the other way round."""
    task = uniform_task(3)
    policy = SkillIt(graph={"d0000": {"d0001": 0.4}}, update_every=1, evaluate_every=1)
    state, weights = heard(policy, task, [np.array([2.0, 3.0, 2.0])] * 2)
    exponent = np.array([2 + 0.4 * 3, 3, 2])
    np.testing.assert_allclose(weights[1], tilt(task.prior, policy.eta * exponent))
    assert weights[1][0] > weights[1][1] > weights[1][2]
    transfer = np.array([[1, 0, 0], [0.4, 1, 0], [0, 0, 1]])
    np.testing.assert_array_equal(policy.diagnostics(state)["transfer"], transfer)
    np.testing.assert_array_equal(graph_matrix(policy.graph or {}, task.names), transfer)


def test_window_is_a_sum_that_fills_and_nothing_is_carried_over() -> None:
    task, policy = uniform_task(2), SkillIt(update_every=1, evaluate_every=1)
    losses = [np.array([number, 1.0]) for number in (1.0, 2.0, 4.0, 8.0, 3.0)]
    state, weights = heard(policy, task, [*losses, losses[0]])
    odds = np.log(weights[:, 0] / weights[:, 1]) / policy.eta
    np.testing.assert_allclose(odds, [0, 0, 1, 4, 11, 12], atol=1e-9)
    np.testing.assert_allclose(policy.diagnostics(state)["window_loss"], [12, 3])


@pytest.mark.parametrize("delay", [0, 1])
def test_age_of_losses(delay: int) -> None:
    """An update sees the loss at its own step in the paper, one evaluation older in the code."""
    task = uniform_task(2)
    losses = [np.array([step + 1.0, 1.0]) for step in range(12)]
    for variant, seen in (("paper", [4, 8]), ("released", [1, 5])):
        policy = SkillIt(variant=variant, window=1, update_every=4, evaluate_every=4)
        _, weights = heard(policy, task, losses, delay=delay)
        odds = 1 + np.log(weights[:, 0] / weights[:, 1]) / policy.eta
        first, second = 4 + delay, 8 + delay
        np.testing.assert_allclose(odds[:first], 1)
        np.testing.assert_allclose(odds[first:second], seen[0])
        np.testing.assert_allclose(odds[second:], seen[1])


def test_starts() -> None:
    task = make_task(3)
    graph = {"d0000": {"d0001": 0.4}}
    loss = [np.array([2.0, 3.0, 2.0])] * 2
    tilted = 0.2 * np.array([2 + 0.4 * 3, 3, 2])
    expected: dict[Any, tuple[Array, Array]] = {
        "graph": (tilt(task.prior, np.array([0.2 * 0.4, 0, 0])), tilt(task.prior, tilted)),
        "prior": (task.prior, tilt(task.prior, tilted)),
        "prior_once": (task.prior, tilt(np.full(3, 1 / 3), tilted)),
    }
    for start, (first, second) in expected.items():
        policy = SkillIt(graph=graph, start=start, update_every=1, evaluate_every=1)
        _, weights = heard(policy, task, loss)
        np.testing.assert_allclose(weights[0], first)
        np.testing.assert_allclose(weights[1], second)


def test_edges_of_one_are_halved_in_the_code_only() -> None:
    graph = {"d0000": {"d0001": 1.0}}
    for variant, edge in (("paper", 1.0), ("released", 0.5)):
        state = SkillIt(graph=graph, variant=variant).init(uniform_task(2))
        np.testing.assert_array_equal(state.graph, [[1, 0], [edge, 1]])


def test_targets_and_target() -> None:
    loss = [np.array([2.0, 3.0, 4.0])] * 3
    settings: dict[str, Any] = {"update_every": 1, "evaluate_every": 1, "window": 2, "eta": 1.0}
    graph = {"d0002": {"d0001": 0.5}}
    policy = SkillIt(graph=graph, targets=("d0000", "d0001"), **settings)
    state, _ = heard(policy, uniform_task(3), loss)
    np.testing.assert_allclose(state.exponent, [2, 3, 1.5])
    task = uniform_task(3, target=np.array([0.5, 0.0, 0.5]))
    state, _ = heard(SkillIt(graph=graph, **settings), task, loss)
    np.testing.assert_allclose(state.exponent, [1.5 * 4, 0, 1.5 * 8])


def test_missing_losses() -> None:
    """A domain counts with its last loss, at first with the mean of the others."""
    task, policy = uniform_task(3), SkillIt(window=1, eta=1.0, update_every=1, evaluate_every=1)
    first, second = np.array([np.nan, 2.0, 4.0]), np.array([5.0, np.inf, 1e308])
    state, _ = heard(policy, task, [first])
    np.testing.assert_allclose(state.exponent, [3, 2, 4])
    state, _ = heard(policy, task, [first, second])
    np.testing.assert_allclose(state.exponent, [5, 2, 4])
    nothing = np.full(3, np.nan)
    silent, _ = heard(policy, task, [first, second, nothing])
    np.testing.assert_allclose(silent.exponent, state.exponent)
    assert silent.evaluations == 2
    state, weights = heard(policy, task, [nothing] * 3)
    assert state.updates == 0
    np.testing.assert_allclose(weights, 1 / 3)


def test_unit() -> None:
    task, loss = uniform_task(2), [np.array([3.0, 6.0])]
    for unit, expected in (("nats_per_token", [3, 6]), ("bits_per_byte", [1, 2])):
        policy = SkillIt(unit=unit, eta=1.0, update_every=1, evaluate_every=1)
        np.testing.assert_allclose(heard(policy, task, loss)[0].exponent, expected)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"variant": "new"}, "variant must be one of paper, released, got 'new'"),
        ({"start": "here"}, "start must be one of graph, prior, prior_once, got 'here'"),
        ({"rescale": "yes"}, "rescale must be one of none, by_domain, eta, got 'yes'"),
        ({"unit": "bits"}, "unit must be 'nats_per_token' or 'bits_per_byte', got 'bits'"),
        ({"eta": 0.0}, r"eta must be in \(0, 1e6\], got 0.0"),
        ({"eta": np.inf}, r"eta must be in \(0, 1e6\], got inf"),
        ({"window": 0}, "window must be at least 1, got 0"),
        ({"update_every": 0}, "update_every must be at least 1, got 0"),
        ({"evaluate_every": 0}, "evaluate_every must be at least 1, got 0"),
        ({"graph": {"a": {"b": np.nan}}}, "graph must hold numbers"),
    ],
)
def test_settings_are_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        SkillIt(**settings)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"graph": {"x": {"d0000": 1.0}}}, "graph must name domains of the corpus"),
        ({"targets": ("x",)}, r"targets must name domains of the corpus, got \['x'\]"),
        ({"targets": ("d0001",)}, "targets must hold a domain whose target is positive"),
    ],
)
def test_settings_that_do_not_fit_are_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        SkillIt(**settings).init(uniform_task(2, target=np.array([1.0, 0.0])))
