import math
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from small_runs import configuration, run_here
from torch.distributed import HashStore, ProcessGroupGloo

from trainer.module import LanguageModel
from trainer.reweighting import Extremes, LinUpper, Quadratic, Reweighting, reweighted
from trainer.summary import load_summary

# Heights -1, -0.5, 0 and 1 between a smallest loss of 1 and a largest of 5.
LOSSES = [1.0, 2.0, 3.0, 5.0]
NUM_TOKENS = 16
STRATEGIES = {
    LinUpper: [0.0, 0.5, 1.0, 1.0],
    Quadratic: [0.0, 0.75, 1.0, 0.0],
    Extremes: [1.0, 0.5, 0.0, 1.0],
}


def at(step: int = 5, rank: int = 0, ranks: int = 1) -> SimpleNamespace:
    return SimpleNamespace(global_step=step, max_steps=11, global_rank=rank, world_size=ranks)


@pytest.mark.parametrize(("strategy", "importance"), STRATEGIES.items())
def test_weights_are_those_of_the_paper(
    strategy: type[Reweighting], importance: list[float]
) -> None:
    expected = np.exp(np.array(importance) / 0.5)
    expected /= expected.sum()
    weights = strategy().weights(torch.tensor(LOSSES, dtype=torch.float64), 0.5)
    assert weights.numpy() == pytest.approx(expected)


def test_the_temperature_falls_from_the_end_of_the_warm_up() -> None:
    annealed = LinUpper(temperature=4.0, final_temperature=1.0, warmup_steps=3)
    found = [annealed.temperature_at(step, 8) for step in range(9)]
    assert found[:3] == [math.inf] * 3
    assert found[3:] == pytest.approx([4.0, 4 / 4**0.25, 2.0, 4**0.25, 1.0, 1.0])


def test_the_warm_up_is_the_plain_mean() -> None:
    losses = torch.tensor(LOSSES) * NUM_TOKENS
    loss, fraction = reweighted(LinUpper(warmup_steps=6), losses, NUM_TOKENS, at(step=5))
    assert float(loss) == pytest.approx(np.mean(LOSSES))
    assert float(fraction) == 1


def test_the_loss_and_the_effective_number_follow_from_the_weights() -> None:
    losses = torch.tensor(LOSSES) * NUM_TOKENS
    loss, fraction = reweighted(Quadratic(warmup_steps=0), losses, NUM_TOKENS, at())
    weights = np.exp(STRATEGIES[Quadratic])
    weights /= weights.sum()
    assert float(loss) == pytest.approx(weights @ LOSSES)
    assert float(fraction) == pytest.approx(1 / (weights**2).sum() / 4)


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_losses_that_are_not_finite_count_for_nothing(bad: float) -> None:
    good = torch.tensor([16.0, 32.0, 80.0], requires_grad=True)
    alone, _ = reweighted(LinUpper(warmup_steps=0), good, NUM_TOKENS, at())
    (expected,) = torch.autograd.grad(alone, good)
    mixed = torch.tensor([16.0, bad, 32.0, 80.0], requires_grad=True)
    loss, _ = reweighted(LinUpper(warmup_steps=0), mixed, NUM_TOKENS, at())
    loss.backward()
    assert loss.item() == pytest.approx(alone.item())
    assert mixed.grad is not None
    assert mixed.grad.tolist() == pytest.approx([*expected[:1].tolist(), 0, *expected[1:].tolist()])


def test_a_batch_without_a_finite_loss_shows() -> None:
    loss, _ = reweighted(Extremes(), torch.full((3,), math.nan), NUM_TOKENS, at())
    assert loss.isnan()


def test_equal_losses_weigh_alike() -> None:
    for strategy in STRATEGIES:
        assert strategy().weights(torch.full((4,), 2.5), 0.1).tolist() == [0.25] * 4


def test_two_ranks_weigh_as_one_does(monkeypatch: pytest.MonkeyPatch) -> None:
    store, here = HashStore(), threading.local()
    values = torch.tensor([3.0, 1.0, 7.0, 2.0, 9.0, 4.0])

    def all_gather(outputs: list[torch.Tensor], value: torch.Tensor) -> None:
        here.group.allgather([outputs], [value]).wait()

    def one_rank(rank: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor | None]:
        here.group = ProcessGroupGloo(store, rank, 2, timedelta(seconds=30))
        losses = values[rank::2].clone().requires_grad_()
        loss, fraction = reweighted(LinUpper(warmup_steps=0), losses, 1, at(rank=rank, ranks=2))
        loss.backward()
        return loss.detach(), fraction, losses.grad

    monkeypatch.setattr("trainer.reweighting.distributed.all_gather", all_gather)
    with ThreadPoolExecutor(2) as ranks:
        found = list(ranks.map(one_rank, range(2)))
    losses = values.clone().requires_grad_()
    loss, fraction = reweighted(LinUpper(warmup_steps=0), losses, 1, at())
    loss.backward()
    assert losses.grad is not None
    # Strategies average over ranks what each has of losses and gradients.
    assert float(found[0][0] + found[1][0]) / 2 == pytest.approx(loss.item())
    for rank, (_, measured, gradient) in enumerate(found):
        assert torch.equal(measured, fraction)
        assert gradient is not None
        assert torch.equal(gradient / 2, losses.grad[rank::2])


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_runs_with_each_strategy_learn(
    strategy: type[Reweighting], corpus: Path, tmp_path: Path
) -> None:
    reweighting = {
        "class_path": f"trainer.reweighting.{strategy.__name__}",
        "init_args": {"warmup_steps": 2, "temperature": 0.5},
    }
    config = configuration(
        corpus,
        tmp_path / "run",
        model__reweighting=reweighting,
        model__learning_rate=1e-2,
        trainer__max_steps=12,
        trainer__val_check_interval=12,
        checkpoint__every_n_train_steps=12,
    )
    summary = load_summary(run_here(config))
    assert summary["step"] == 12
    # Bytes without any knowledge cost 8 bits.
    assert all(row["validation_bits_per_byte"] < 7 for row in summary["domains"].values())


def test_accumulated_batches_are_refused(corpus: Path, tmp_path: Path) -> None:
    config = configuration(
        corpus,
        tmp_path / "run",
        model__reweighting={"class_path": "trainer.reweighting.LinUpper"},
        trainer__accumulate_grad_batches=2,
    )
    with pytest.raises(ValueError, match="cuts it into 2 parts"):
        run_here(config)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"temperature": 0.0}, "reweighting.temperature must be positive and finite, got 0.0"),
        ({"final_temperature": math.nan}, "reweighting.final_temperature must be positive"),
        ({"warmup_steps": -1}, "reweighting.warmup_steps must not be negative, got -1"),
    ],
)
def test_settings_out_of_range_are_refused(settings: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        LinUpper(**settings)


def test_without_reweighting_nothing_is_weighed() -> None:
    module = LanguageModel().train()
    losses = torch.rand(7) * 100
    assert module._objective(losses, 13) == losses.sum() / (7 * 13)
    assert module.effective_fraction is None
