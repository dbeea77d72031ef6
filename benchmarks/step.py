"""What mixing costs per training step: decide, round, gather, feed back.

Two loops alternate: one draws batches at fixed weights and throws the losses away, the other asks
UCB before each batch and tells it every loss. Their difference is the price of an online policy.

    python benchmarks/step.py [--device cuda] [--train]
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from environment import describe

from mixer.batch import Batch
from mixer.mixture import Mixture
from mixer.streams import DomainStream
from policies import UCB, State, Task
from policies.simplex import check_weights
from trainer.exchange import PendingFeedback, StepRecord
from trainer.network import SequenceLossNetwork, build_network
from trainer.tracking import DomainTotals

BATCH, LENGTH, VOCAB = 32, 1024, 32_000
Losses = Callable[[Batch], torch.Tensor]


def make_mixture(num_domains: int) -> Mixture:
    """Domains of Zipf sizes, 20 million tokens in all, in memory."""
    generator = np.random.default_rng(0)
    shares = 1 / np.arange(1, num_domains + 1)
    sizes = np.maximum(2 * LENGTH, 20_000_000 * shares / shares.sum()).astype(int)
    streams = [
        DomainStream(f"d{number}", generator.integers(0, VOCAB, size, dtype=np.uint16), LENGTH, 0)
        for number, size in enumerate(sizes)
    ]
    return Mixture(streams, batch_size=BATCH)


def make_task(mixture: Mixture) -> Task:
    count = len(mixture.names)
    uniform = np.full(count, 1 / count)
    return Task(
        names=mixture.names,
        unique_tokens=np.array([float(len(stream.tokens)) for stream in mixture.streams]),
        bytes_per_token=np.full(count, 4.0),
        prior=uniform,
        target=uniform,
        total_steps=10_000,
        tokens_per_step=BATCH * LENGTH,
    )


class FixedLoop:
    """Batches at fixed weights."""

    def __init__(self, num_domains: int, losses: Losses) -> None:
        self.mixture, self._losses = make_mixture(num_domains), losses

    def step(self) -> None:
        self._losses(self.mixture.next_batch())


class PolicyLoop:
    """The same with everything that the trainer's callback does for a policy at each step."""

    def __init__(self, num_domains: int, losses: Losses) -> None:
        self.mixture, self._losses = make_mixture(num_domains), losses
        self._policy = UCB()
        self._pending: PendingFeedback | None = None
        self._state: State = self._policy.init(make_task(self.mixture))
        self._totals = DomainTotals(num_domains)

    def step(self) -> None:
        mixture = self.mixture
        weights = self._policy.decide(self._state, mixture.step).weights
        mixture.set_weights(check_weights(weights, mixture.names, "weight"))
        losses = self._losses(mixture.next_batch())
        record = StepRecord(
            step=mixture.step,
            weights=mixture.in_force,
            counts=mixture.counts,
            epochs=mixture.epochs,
            sequence_domain=mixture.composition().domain,
            sequence_length=LENGTH,
            learning_rate=1e-3,
        )
        waiting, self._pending = self._pending, PendingFeedback(record, [(losses, losses)], 1)
        if waiting is not None:
            feedback = waiting.feedback()
            self._totals.add(feedback)
            self._state = self._policy.update(self._state, feedback)


def train_step(device: str) -> Losses:
    """A real optimiser step: 160 million parameters on a GPU, 8 million on a CPU."""
    large = device == "cuda"
    config = {
        "hidden_size": 768 if large else 128,
        "intermediate_size": 3072 if large else 512,
        "num_hidden_layers": 12 if large else 2,
        "num_attention_heads": 12 if large else 4,
        "num_key_value_heads": 12 if large else 4,
    }
    net: SequenceLossNetwork = build_network(
        architecture="llama",
        config=config,
        pretrained=None,
        vocab_size=VOCAB,
        sequence_length=LENGTH,
        seed=0,
    ).to(device)
    optimizer = torch.optim.AdamW(net.parameters(), lr=1e-4, fused=True)

    def losses(batch: Batch) -> torch.Tensor:
        tokens = batch.tokens.to(device, non_blocking=True)
        with torch.autocast(device, torch.bfloat16, enabled=large):
            values = net(tokens)
        (values.sum() / tokens[:, 1:].numel()).backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        detached: torch.Tensor = values.detach()
        return detached

    return losses


def free_losses(batch: Batch) -> torch.Tensor:
    """Losses at no cost, so that only the mixing is timed."""
    return batch.tokens[:, 0].float() + 1


def milliseconds(loop: FixedLoop | PolicyLoop, steps: int, device: str) -> float:
    """Mean time of a step over a stretch of steps."""
    if device == "cuda":
        torch.cuda.synchronize()
    start = time.perf_counter()
    for _ in range(steps):
        loop.step()
    if device == "cuda":
        torch.cuda.synchronize()
    return (time.perf_counter() - start) * 1e3 / steps


def compare(num_domains: int, losses: Losses, *, rounds: int, steps: int, device: str) -> list[str]:
    """One line of the table: medians over alternating rounds, and of their paired difference."""
    fixed, policy = FixedLoop(num_domains, losses), PolicyLoop(num_domains, losses)
    for loop in (fixed, policy):
        milliseconds(loop, steps, device)
    pairs = [
        (milliseconds(fixed, steps, device), milliseconds(policy, steps, device))
        for _ in range(rounds)
    ]
    base, whole = (statistics.median(pair[side] for pair in pairs) for side in (0, 1))
    extra = statistics.median(after - before for before, after in pairs)
    return [str(num_domains), f"{base:.3f}", f"{whole:.3f}", f"{extra:.3f}", f"{extra / base:.2%}"]


def table(title: str, rows: list[list[str]]) -> str:
    head = ["domains", "fixed, ms", "UCB, ms", "difference, ms", "of the fixed step"]
    lines = [head, ["---:"] * len(head), *rows]
    return f"\n## {title}\n\n" + "\n".join("| " + " | ".join(line) + " |" for line in lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    parser.add_argument("--train", action="store_true", help="also time real optimiser steps")
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/step.md"))
    options = parser.parse_args()
    mixing = [
        compare(count, free_losses, rounds=15, steps=200, device="cpu")
        for count in (2, 20, 200, 2000)
    ]
    text = (
        "# What an online policy costs per step\n\n"
        + describe()
        + (
            f"\nBatches of {BATCH} x {LENGTH} tokens. Medians over alternating rounds; the "
            "difference is the median of paired differences.\n"
        )
        + table("Mixing alone: losses come for free", mixing)
    )
    if options.train:
        losses = train_step(options.device)
        rounds, steps = (15, 20) if options.device == "cuda" else (7, 2)
        rows = [compare(20, losses, rounds=rounds, steps=steps, device=options.device)]
        text += table(f"Real optimiser steps on {options.device}", rows)
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(text)
    print(text)


if __name__ == "__main__":
    main()
