"""Which text helps which, planted in a corpus and found on networks in three ways.

Domain ``figures`` is ``digits`` with other tokens for the digits, so each teaches the words of the
other; ``noise`` teaches neither. The trials of `MinimaxRegret`, inner products of gradients, and
twins, which go on from the same weights and play a pair of blocks in either order, must say so
alike. Effects are relative to the even mixture, so that a copy's is positive if it helps more than
a mean batch does; row = evaluated, column = trained on.
"""

from __future__ import annotations

from types import SimpleNamespace
from typing import NamedTuple

import numpy as np
import pytest
import torch
from lightning.pytorch.plugins.precision import Precision
from planted_runs import (
    BATCH,
    LEARNING_RATE,
    LENGTH,
    NAMES,
    SEEDS,
    TRAIN_TOKENS,
    Networks,
    mixtures,
    write_planted,
)

from mixer.corpus import Corpus
from mixer.mixture import Mixture
from policies import Feedback, Task
from policies.estimators.effects import Effects
from policies.minimax.blocks import leaning
from policies.minimax.minimax_regret import MinimaxRegret
from policies.minimax.state import MinimaxState
from policies.signals import Array, Signal, ValidationLoss
from trainer.exchange import StepRecord, make_feedback
from trainer.probes.alignment import GradientAlignmentProbe

pytestmark = pytest.mark.slow

EVEN = np.full(len(NAMES), 1 / len(NAMES))
PAIRS = 55
STEPS = 1 + 2 * PAIRS  # Blocks of a step each.
# Steps in which gradients are measured, and how many twins part for each domain.
ASKED = range(80, STEPS, 10)
TWINS = 2
# Too few pairs to move before the last one: every trial is about the even mixture. The past fades
# fast: while networks this small begin to learn, effects do not fall like the rate over the step.
POLICY = MinimaxRegret(
    block=1e-9,
    min_pairs=PAIRS - 1,
    memory=0.85,
    model="none",
    model_weight=1e-6,
    solver="play",
)


class Found(NamedTuple):
    """What each seed's run says of effects, with standard errors, all of shape (seeds, k, k).

    Attributes:
        trials: The policy's estimates.
        twins: What pairs do at the end of the run.
        gradients: Inner products of held-out and training gradients late in the run.
    """

    trials: Effects
    twins: Effects
    gradients: Effects


def first_state(seed: int) -> MinimaxState:
    return POLICY.init(
        Task(
            names=NAMES,
            unique_tokens=np.full(3, float(TRAIN_TOKENS)),
            bytes_per_token=np.ones(3),
            prior=EVEN,
            target=EVEN,
            total_steps=STEPS,
            tokens_per_step=BATCH * LENGTH,
            seed=seed,
        )
    )


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> Found:
    corpus = write_planted(tmp_path_factory.mktemp("planted"))
    networks, mixed = Networks(corpus), mixtures(corpus, 0)
    states, products = [first_state(seed) for seed in range(SEEDS)], []
    for step in range(STEPS):
        decisions = [POLICY.decide(state, step) for state in states]
        for one, decision in zip(mixed, decisions, strict=True):
            one.set_weights(decision.weights)
        if step in ASKED:
            products.append(inner_products(networks, corpus, first_seed=step * SEEDS))
        losses = networks.step([one.next_batch() for one in mixed])
        answers: list[dict[Signal, ValidationLoss]] = [{}] * SEEDS
        if decisions[0].signals:
            answers = [measured(held_out) for held_out in networks.held_out_losses()]
        for seed, one in enumerate(mixed):
            heard = feedback(one, losses[seed], answers[seed])
            states[seed] = POLICY.update(states[seed], heard)
    trials = zip(*(POLICY.effects(state) for state in states), strict=True)
    return Found(
        trials=Effects(*map(np.array, trials)),
        twins=twin_effects(networks, corpus),
        gradients=mean_effects(relative(np.array(products))),
    )


def measured(held_out: Array) -> dict[Signal, ValidationLoss]:
    return {Signal.VALIDATION_LOSS: ValidationLoss(held_out, held_out, np.zeros(len(NAMES)))}


def feedback(mixed: Mixture, losses: Array, answers: dict[Signal, ValidationLoss]) -> Feedback:
    record = StepRecord(
        step=mixed.step,
        weights=mixed.in_force,
        counts=mixed.counts,
        epochs=mixed.epochs,
        sequence_domain=mixed.composition().domain,
        sequence_length=LENGTH,
        learning_rate=LEARNING_RATE,
    )
    return make_feedback(record, losses, np.full(BATCH, float(LENGTH)), answers)


def inner_products(networks: Networks, corpus: Corpus, first_seed: int) -> Array:
    """Those of each network's gradients, held-out by training, on even batches: (seeds, k, k)."""
    probe = GradientAlignmentProbe(sequences=12)
    trainer = SimpleNamespace(
        world_size=1, global_rank=0, accumulate_grad_batches=1, precision_plugin=Precision()
    )
    module = SimpleNamespace(network=networks.shown, device=torch.device("cpu"), trainer=trainer)
    data = SimpleNamespace(names=NAMES, sequence_length=LENGTH, batch_size=36, corpus=corpus)
    probe.setup(trainer, module, data)
    products = []
    for seed, even in enumerate(mixtures(corpus, first_seed, size=60)):
        networks.show(seed)
        probe.see(even.next_batch())
        answer = probe.answer()
        products.append(answer.validation @ answer.train.T)
    return np.array(products)


def twin_effects(networks: Networks, corpus: Corpus) -> Effects:
    """Half the difference between the blocks of a pair, less what its twin in reverse finds."""
    kept = networks.keep()
    found = []
    for number in range(TWINS):
        shifts, falls = [], []
        for domain in range(len(NAMES)):
            sign = 2.0 * np.eye(len(NAMES))[domain] - 1.0
            shift, fall = [], []
            for lean in (sign, -sign):
                mixed = mixtures(corpus, (number * len(NAMES) + domain + 1) * 1000)  # For both.
                first, middle = play_block(networks, mixed, lean)
                second, after = play_block(networks, mixed, -lean)
                shift.append((first - second) / 2)
                fall.append(after / 2 - middle)  # Both set out from the same losses.
                networks.go_back(kept)
            shifts.append((shift[0] - shift[1]) / 2)
            falls.append((fall[0] - fall[1]) / 2)
        fitted = np.linalg.pinv(np.stack(shifts, axis=1)) @ np.stack(falls, axis=1)
        found.append(relative(fitted.swapaxes(1, 2)))
    return mean_effects(np.array(found))


def play_block(networks: Networks, mixed: list[Mixture], lean: Array) -> tuple[Array, Array]:
    """Shares drawn in a block that leans so, and losses after it, both of shape (seeds, k)."""
    for one in mixed:
        one.set_weights(leaning(EVEN, lean, POLICY.strength))
    networks.step([one.next_batch() for one in mixed])
    return np.array([one.counts for one in mixed]) / BATCH, networks.held_out_losses()


def mean_effects(measured: Array) -> Effects:
    """The mean and its standard error over the first axis, (n, seeds, k, k)."""
    error = measured.std(axis=0, ddof=1) / np.sqrt(len(measured))
    return Effects(measured.mean(axis=0), error)


def relative(effects: Array) -> Array:
    return effects - effects.mean(axis=-1, keepdims=True)


def positive(effects: Array) -> bool:
    """Whether the mean over the seeds, axis 0, is so by three standard errors."""
    error = effects.std(axis=0, ddof=1) / np.sqrt(SEEDS)
    return bool((effects.mean(axis=0) > 3 * error).all())


def own(effects: Array) -> Array:
    """Of ``digits`` and ``figures`` on themselves, shape (seeds, 2)."""
    return effects[:, [0, 1], [0, 1]]


def copied(effects: Array) -> Array:
    """Of ``digits`` on ``figures`` and back, shape (seeds, 2)."""
    return effects[:, [0, 1], [1, 0]]


def noisy(effects: Array) -> Array:
    """Of ``noise`` on both, shape (seeds, 2)."""
    return effects[:, :2, 2]


@pytest.mark.parametrize("way", Found._fields)
def test_a_copy_helps_and_noise_does_not(found: Found, way: str) -> None:
    effects = getattr(found, way).value
    assert positive(copied(effects))
    assert positive(-noisy(effects))
    assert positive(effects[:, 2, 2])
    assert positive(-effects[:, 2, :2])


@pytest.mark.parametrize("way", Found._fields)
def test_own_text_helps_more_than_its_copy(found: Found, way: str) -> None:
    effects = getattr(found, way).value
    assert positive((own(effects) - copied(effects)).mean(axis=1))


@pytest.mark.parametrize("way", ["trials", "gradients"])
def test_most_runs_show_it_by_two_standard_errors(found: Found, way: str) -> None:
    value, error = getattr(found, way)
    clear = value / error
    assert (copied(clear) > 2).mean() > 0.75
    assert (noisy(clear) < -2).mean() > 0.85
    assert (copied(value) > noisy(value)).mean() > 0.95


@pytest.mark.parametrize("way", ["twins", "gradients"])
def test_trials_agree_with_what_is_measured_directly(found: Found, way: str) -> None:
    """But for a factor, and for embeddings, whose gradients are not measured."""
    trials, direct = found.trials.value.mean(axis=0), getattr(found, way).value.mean(axis=0)
    for row, expected in zip(trials, direct, strict=True):
        assert np.corrcoef(row, expected)[0, 1] > 0.9


def test_effects_have_the_size_of_what_twins_differ_by(found: Found) -> None:
    """Roughly: where effects change, estimates lag behind."""
    trials, twins = found.trials.value.mean(axis=0), found.twins.value.mean(axis=0)
    assert 0.7 < (trials * twins).sum() / (twins**2).sum() < 1.2


def test_intervals_cover_what_other_runs_find(found: Found) -> None:
    """The 95 % intervals of runs that share neither first weights nor order of text nor design."""
    value, error = found.trials
    others = (value.sum(axis=0) - value) / (SEEDS - 1)
    error_of_others = value.std(axis=0, ddof=1) / np.sqrt(SEEDS - 1)
    covered = np.abs(value - others) < 1.96 * np.hypot(error, error_of_others)
    assert 0.90 <= covered.mean() <= 0.99
