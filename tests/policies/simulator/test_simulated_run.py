from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from small_scenarios import small

from policies.feedback import LN2, Feedback
from policies.signals import Array, Signal
from policies.simulator.law import jacobian, loss
from policies.simulator.run import SKETCH_SIZE, Simulation
from policies.simulator.scenario import Scenario
from policies.simulator.scenarios import SCENARIOS, load_scenario

# A law has no text to be learnt by heart.
ALL = frozenset(Signal) - {Signal.MEMORISATION_GAP}


def noiseless(scenario: Scenario) -> Scenario:
    return replace(scenario, noise=np.zeros(scenario.num_domains), gradient_noise=0.0)


def check_form(feedback: Feedback, scenario: Scenario) -> None:
    """The shapes that a policy counts on."""
    number, size = scenario.num_domains, scenario.sequences_per_step
    assert feedback.counts.shape == (number,)
    assert feedback.counts.dtype == np.int64
    assert feedback.counts.sum() == size
    assert feedback.epochs.shape == (number,)
    for values in (
        feedback.sequence_domain,
        feedback.sequence_loss,
        feedback.sequence_tokens,
        feedback.sequence_bytes,
    ):
        assert values.shape == (size,)
    assert np.isfinite(feedback.sequence_loss).all()
    np.testing.assert_array_equal(
        feedback.counts, np.bincount(feedback.sequence_domain, minlength=number)
    )
    for signal, measured in feedback.signals.items():
        for values in measured:
            assert values.shape[0] == number, signal
            assert values.dtype == np.float64


@pytest.mark.parametrize("name", sorted(set(SCENARIOS) - {"languages2000"}))
def test_feedback_has_its_form(name: str) -> None:
    scenario = load_scenario(name)
    simulation = Simulation(scenario)
    for step in range(3):
        feedback = simulation.step(simulation.task.prior, ALL)
        assert feedback.step == step
        assert feedback.signals.keys() == ALL
        check_form(feedback, scenario)
    assert not simulation.step(simulation.task.prior).signals


def test_rare_languages_would_be_repeated_often() -> None:
    for name in SCENARIOS:
        scenario = load_scenario(name)
        share = scenario.tokens_per_step * scenario.total_steps / scenario.num_domains
        epochs = share / scenario.unique_tokens
        assert epochs.min() < 1
        assert 4 <= epochs.max() <= 64.001


def test_counts_are_within_one_of_the_weights() -> None:
    scenario = small()
    simulation = Simulation(scenario)
    weights = np.array([0.61, 0.0, 0.38, 0.01])
    for _ in range(20):
        counts = simulation.step(weights).counts
        assert (np.abs(counts - 64 * weights) < 1).all()
    assert counts[1] == 0
    one_hot = np.array([0.0, 1.0, 0.0, 0.0])
    np.testing.assert_array_equal(simulation.step(one_hot).counts, 64 * one_hot)


def test_the_run_follows_the_law() -> None:
    scenario = noiseless(small(4, parts=2, schedule="cosine"))
    simulation = Simulation(scenario)
    exposure, tokens = np.zeros(4), np.zeros(4)
    worth = scenario.learning_rates / scenario.learning_rates.mean()
    for step in range(40):
        before = loss(scenario, exposure)
        feedback = simulation.step(np.array([0.4, 0.3, 0.2, 0.1]), {Signal.VALIDATION_LOSS})
        drawn = feedback.counts * 1024.0
        tokens += drawn
        exposure += drawn * worth[step] * scenario.usefulness[step // 20]
        np.testing.assert_allclose(feedback.epochs, tokens / scenario.unique_tokens)
        validation = feedback.validation_loss
        assert validation is not None
        np.testing.assert_allclose(validation.bits_per_byte, loss(scenario, exposure), rtol=1e-12)
        nats = validation.bits_per_byte * LN2 * scenario.bytes_per_token
        np.testing.assert_allclose(validation.nats_per_token, nats, rtol=1e-12)
        first = feedback.epochs <= 1
        seen = feedback.counts > 0
        use = first & seen
        np.testing.assert_allclose(feedback.bits_per_byte[use], before[use], rtol=1e-9)
        use = ~first & seen
        assert (feedback.bits_per_byte[use] < before[use]).all()
    np.testing.assert_allclose(simulation.losses, loss(scenario, exposure))
    with pytest.raises(ValueError, match="the run is over"):
        simulation.step(np.full(4, 0.25))


def test_same_seed_same_run() -> None:
    scenario = small()

    def play(seed: int, weights: Array) -> list[Feedback]:
        simulation = Simulation(scenario, seed)
        return [simulation.step(weights, ALL) for _ in range(5)]

    weights = np.full(4, 0.25)
    first, second, other = play(1, weights), play(1, weights), play(2, weights)
    for one, two in zip(first, second, strict=True):
        np.testing.assert_array_equal(one.sequence_loss, two.sequence_loss)
        for signal in ALL:
            for left, right in zip(one.signals[signal], two.signals[signal], strict=True):
                np.testing.assert_array_equal(left, right)
    assert (first[0].sequence_loss != other[0].sequence_loss).any()


def test_validation_noise_is_common_to_all_steps() -> None:
    scenario = small()
    simulation = Simulation(scenario)
    errors = []
    for _ in range(40):
        measured = simulation.step(np.full(4, 0.25), {Signal.VALIDATION_LOSS}).validation_loss
        assert measured is not None
        errors.append((measured.bits_per_byte - simulation.losses) / measured.standard_error)
    np.testing.assert_allclose(measured.standard_error, scenario.noise / 8)
    assert (np.std(errors, axis=0) < 0.2).all()
    assert np.abs(np.mean(errors, axis=0)).max() > 0.3


def test_sketches_reproduce_the_derivatives() -> None:
    scenario = noiseless(small(4, tau=np.eye(4) + 0.3 * np.eye(4, k=1) - 0.1 * np.eye(4, k=-1)))
    simulation = Simulation(scenario)
    for _ in range(10):
        before = simulation.exposure
        sketches = simulation.step(np.full(4, 0.25), ALL).gradients
    assert sketches is not None
    expected = -jacobian(scenario, before) * scenario.tokens_per_step
    np.testing.assert_allclose(sketches.validation @ sketches.train.T, expected, rtol=1e-12)


def test_domains_out_of_the_batch_are_not_measured() -> None:
    feedback = Simulation(small()).step(np.array([0.5, 0.5, 0.0, 0.0]), ALL)
    assert feedback.gradients is not None
    assert feedback.gradient_noise is not None
    assert feedback.reference_loss is not None
    for values in (
        feedback.gradients.train[:, 0],
        *feedback.gradient_noise,
        *feedback.reference_loss,
    ):
        np.testing.assert_array_equal(np.isnan(values), [False, False, True, True])
    assert np.isfinite(feedback.gradients.validation).all()


def test_gradient_noise_is_unbiased() -> None:
    scenario = small()
    clear = Simulation(noiseless(scenario)).step(np.full(4, 0.25), ALL).gradient_noise
    assert clear is not None
    found = [
        Simulation(scenario, seed).step(np.full(4, 0.25), ALL).gradient_noise for seed in range(400)
    ]
    squared = np.array([one.squared_norm for one in found if one is not None])
    error = squared.std(axis=0) / 20
    assert (np.abs(squared.mean(axis=0) - clear.squared_norm) < 4 * error).all()


def test_excess_over_the_reference_falls() -> None:
    scenario = small()
    simulation = Simulation(scenario)
    path = [simulation.step(np.full(4, 0.25), ALL).reference_loss for _ in range(40)]
    assert path[0] is not None
    assert path[-1] is not None
    assert (path[0].excess > path[-1].excess).all()
    for one in path:
        assert one is not None
        assert (one.clipped_excess >= np.maximum(one.excess, 0)).all()


def test_thousands_of_languages() -> None:
    scenario = load_scenario("languages2000")
    simulation = Simulation(noiseless(scenario))
    feedback = simulation.step(simulation.task.prior, ALL)
    check_form(feedback, scenario)
    sketches = feedback.gradients
    assert sketches is not None
    assert sketches.train.shape == (2000, SKETCH_SIZE)
    seen = np.flatnonzero(feedback.counts)[:200]
    expected = -jacobian(scenario, np.zeros(2000))[np.ix_(seen, seen)] * scenario.tokens_per_step
    found = sketches.validation[seen] @ sketches.train[seen].T
    assert np.corrcoef(found.ravel(), expected.ravel())[0, 1] > 0.5
    np.testing.assert_allclose(found.diagonal().mean(), expected.diagonal().mean(), rtol=0.1)


def test_an_unknown_scenario_is_refused() -> None:
    with pytest.raises(ValueError, match=r"scenario must be one of english_rich, .* got 'x'"):
        load_scenario("x")


def test_what_a_law_does_not_have_is_refused() -> None:
    scenario = load_scenario("english_rich")
    even = np.full(scenario.num_domains, 1 / scenario.num_domains)
    with pytest.raises(ValueError, match="the simulator cannot measure memorisation_gap"):
        Simulation(scenario).step(even, [Signal.MEMORISATION_GAP])
