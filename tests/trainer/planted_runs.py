"""Fifty small networks, trained at once on text whose parts help each other in known ways."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.func import functional_call, stack_module_state, vmap

from mixer.batch import Batch
from mixer.corpus import Corpus
from mixer.evaluation import EvaluationLoader
from mixer.indexed import ShardWriter
from mixer.manifest import SPLITS, Manifest, SplitEntry
from mixer.mixture import Mixture
from policies.feedback import LN2
from policies.signals import Array
from trainer.network import SequenceLossNetwork, build_network

NAMES = ("digits", "figures", "noise")  # Alphabetical, as policies keep them.
SPACE, STOP, END, VOCABULARY = 46, 47, 63, 64
WORDS, WORD_LENGTH, WORDS_IN_LINE = 10, 4, 4
TRAIN_TOKENS, HELD_OUT_TOKENS = 60_000, 4_000
SEEDS, BATCH, LENGTH, HELD_OUT = 50, 16, 24, 6
# Steps at 0.3 are so long that text which helps along the gradient harms at the step's end.
LEARNING_RATE = 0.1
SMALL = {
    "hidden_size": 16,
    "intermediate_size": 32,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "num_key_value_heads": 2,
}


def lines(generator: np.random.Generator, size: int) -> np.ndarray:
    """Four words, a digit and the digit after it in each line; all text has the same words.

    Digits are two tokens in twenty-three. Were they many, text with other digits would compete for
    the output more than it teaches.
    """
    words = np.random.default_rng(0).integers(20, 44, (WORDS, WORD_LENGTH))
    spaced = np.hstack([words, np.full((WORDS, 1), SPACE)])
    number = size // (WORDS_IN_LINE * (WORD_LENGTH + 1) + 3) + 1
    text = spaced[generator.integers(WORDS, size=(number, WORDS_IN_LINE))].reshape(number, -1)
    digit = generator.integers(10, size=(number, 1))
    stop = np.full((number, 1), STOP)
    return np.hstack([text, digit, (digit + 1) % 10, stop]).ravel()[:size]


def write_planted(folder: Path) -> Corpus:
    """``figures`` is as ``digits`` with other tokens for digits, ``noise`` is drawn at random."""
    domains: dict[str, dict[str, SplitEntry]] = {name: {} for name in NAMES}
    for number, name in enumerate(NAMES):
        for part, split in enumerate(SPLITS):
            size = TRAIN_TOKENS if split == "train" else HELD_OUT_TOKENS
            generator = np.random.default_rng([number, part])
            tokens = lines(generator, size)
            if name == "figures":
                tokens = np.where(tokens < 10, tokens + 10, tokens)
            if name == "noise":
                tokens = generator.integers(0, STOP + 1, size)
            with ShardWriter(folder / name / split, dtype=np.dtype("<u2")) as writer:
                writer.add_document(np.append(tokens, END))
            domains[name][split] = SplitEntry(
                prefix=f"{name}/{split}", tokens=size + 1, bytes=size, documents=1
            )
    Manifest(tokenizer="", vocab_size=VOCABULARY, end_of_document=END, domains=domains).save(folder)
    return Corpus(folder)


class Networks:
    """One small Llama per seed; one pass trains them all, by plain descent."""

    def __init__(self, corpus: Corpus) -> None:
        networks = [small_network(seed) for seed in range(SEEDS)]
        self.shown = networks[0]
        self.weights = stack_module_state(networks)[0]
        self._losses = vmap(lambda weights, tokens: functional_call(self.shown, weights, tokens))
        (held_out,) = EvaluationLoader(
            corpus.streams("validation", sequence_length=LENGTH, seed=0),
            sequences_per_domain=HELD_OUT,
            batch_size=len(NAMES) * HELD_OUT,
        )
        self._held_out = held_out.tokens.expand(SEEDS, -1, -1)

    def step(self, batches: list[Batch]) -> Array:
        """Trains each on its batch; sequences' losses in nats, shape (seeds, B)."""
        losses = self._losses(self.weights, torch.stack([batch.tokens for batch in batches]))
        slopes = torch.autograd.grad(losses.sum() / (BATCH * LENGTH), list(self.weights.values()))
        with torch.no_grad():
            for weight, slope in zip(self.weights.values(), slopes, strict=True):
                weight.sub_(slope, alpha=LEARNING_RATE)
        return losses.detach().double().numpy()

    def held_out_losses(self) -> Array:
        """In bits per byte, a token being one, shape (seeds, k)."""
        with torch.no_grad():
            losses = self._losses(self.weights, self._held_out).double().numpy()
        return losses.reshape(SEEDS, len(NAMES), HELD_OUT).mean(axis=2) / (LENGTH * LN2)

    def keep(self) -> dict[str, Tensor]:
        return {name: weight.detach().clone() for name, weight in self.weights.items()}

    def go_back(self, kept: dict[str, Tensor]) -> None:
        with torch.no_grad():
            for name, weight in self.weights.items():
                weight.copy_(kept[name])

    def show(self, seed: int) -> None:
        """Gives ``shown`` the weights of one seed."""
        with torch.no_grad():
            for name, weight in self.shown.named_parameters():
                weight.copy_(self.weights[name][seed])


def small_network(seed: int) -> SequenceLossNetwork:
    network = build_network(
        architecture="llama",
        config=SMALL,
        pretrained=None,
        vocab_size=VOCABULARY,
        sequence_length=LENGTH,
        seed=seed,
    )
    network.model.set_attn_implementation("eager")  # Others run networks one by one.
    return network


def mixtures(corpus: Corpus, first_seed: int, size: int = BATCH) -> list[Mixture]:
    """One for each network, of its own seed."""
    return [
        Mixture(
            corpus.streams("train", sequence_length=LENGTH, seed=seed), batch_size=size, seed=seed
        )
        for seed in range(first_seed, first_seed + SEEDS)
    ]
