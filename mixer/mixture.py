"""Streams mixed at weights that may change before every batch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mixer.batch import Batch
from mixer.permutation import Indices
from mixer.reader import WindowReader
from mixer.resampling import RULES, Counts, Resampling, Weights, initial_debt
from mixer.sampling.stream import SampledStream
from mixer.streams import DomainStream

STATE_VERSION = 2


class Composition(NamedTuple):
    """What one step's global batch is made of: sorted domains, and the draw of each sequence."""

    domain: Indices
    draw: Indices


class Mixture:
    """Draws global batches from domain streams; weights set now rule the very next step.

    A step's global batch is the same for any number of ranks and micro-batches: every rank computes
    its composition and gathers only its own slice. Slices are dealt like cards, so that each one
    mirrors the mixture.

    Args:
        streams: One stream per domain, all of the same sequence length.
        batch_size: Sequences of a global batch, over all ranks and micro-batches of a step.
        seed: Seed of the rounding of shares.
        resampling: How shares become whole sequences, a key of `mixer.resampling.RULES`.
        rank: This process.
        num_ranks: Processes that share a batch.
        num_micro_batches: Parts in which a rank takes its share, one for each `next_batch`.

    Raises:
        ValueError: There are no streams, or the batch cannot be dealt out evenly.
    """

    def __init__(
        self,
        streams: Sequence[DomainStream | SampledStream],
        *,
        batch_size: int,
        seed: int = 0,
        resampling: Resampling = "quota",
        rank: int = 0,
        num_ranks: int = 1,
        num_micro_batches: int = 1,
    ) -> None:
        if not streams:
            raise ValueError("a mixture needs at least one domain, got none")
        if resampling not in RULES:
            raise ValueError(f"resampling must be one of {list(RULES)}, got {resampling!r}")
        slots = num_ranks * num_micro_batches
        if batch_size < 1 or batch_size % slots:
            raise ValueError(
                f"batch_size must be a positive multiple of {num_ranks} ranks x "
                f"{num_micro_batches} micro-batches, got {batch_size}"
            )
        self.streams = tuple(streams)
        self.names = tuple(stream.name for stream in streams)
        self.batch_size = batch_size
        self._seed = seed
        self._round = RULES[resampling]
        self._rank, self._num_ranks, self._num_micro = rank, num_ranks, num_micro_batches
        self._sizes = np.array([stream.num_sequences for stream in streams])
        self._reader = WindowReader(self.streams, batch_size)
        self._domains = np.arange(len(streams))
        self._rows = np.arange(batch_size)
        self.reset()

    def reset(self) -> None:
        """Go back to before the first step, at uniform weights."""
        num_domains = len(self.streams)
        self.step = 0
        self._micro = 0
        self._weights: Weights = np.full(num_domains, 1.0 / num_domains)
        self._in_force = self._weights
        self._drawn: Counts = np.zeros(num_domains, dtype=np.int64)
        self._owed = initial_debt(num_domains, self._seed)
        self._counts: Counts = np.zeros(num_domains, dtype=np.int64)
        self._composition: Composition | None = None
        self._reader.seek(self._drawn)

    @property
    def weights(self) -> Weights:
        """The mixture of the next step, shape (k,)."""
        return self._weights

    def set_weights(self, weights: Weights) -> None:
        """Set the mixture of the next step: shape (k,), non-negative, summing to one.

        Between the micro-batches of a step it waits for the step to end.
        """
        weights = np.asarray(weights, dtype=np.float64)
        if weights.shape != self._sizes.shape:
            raise ValueError(f"weights must have shape {self._sizes.shape}, got {weights.shape}")
        if not (weights.min() >= 0 and abs(weights.sum() - 1.0) <= 1e-6):
            raise ValueError(f"weights must be non-negative and sum to one, got {weights}")
        self._weights = weights

    @property
    def in_force(self) -> Weights:
        """The mixture that the current step's batch was drawn at, shape (k,)."""
        return self._in_force

    @property
    def counts(self) -> Counts:
        """Sequences of each domain in the current step's global batch, shape (k,)."""
        return self._counts

    @property
    def drawn(self) -> Counts:
        """Sequences drawn of each domain since the start, the current step's included, (k,)."""
        return self._drawn if self._composition is None else self._drawn + self._counts

    @property
    def epochs(self) -> NDArray[np.float64]:
        """How often each domain has been read, shape (k,); whole numbers are full readings."""
        epochs: NDArray[np.float64] = self.drawn / self._sizes
        return epochs

    @property
    def owed(self) -> Weights:
        """Sequences asked for minus sequences drawn, summed over all steps, shape (k,)."""
        return self._owed if self._composition is None else self._debt()

    def composition(self) -> Composition:
        """The global batch of the step under way: the same on every rank, at no reading of tokens.

        Row r goes to rank ``r % num_ranks``, micro-batch ``r // num_ranks % num_micro_batches``.
        """
        if self._composition is None:
            self._in_force = self._weights
            self._counts = self._round(
                self._in_force, self.batch_size, self._owed, self._seed, self.step
            )
            after = self._drawn + self._counts
            self._reader.prepare(after)
            domain = self._domains.repeat(self._counts)
            draw = self._rows + (after - self._counts.cumsum()).take(domain)
            self._composition = Composition(domain, draw)
        return self._composition

    def next_batch(self) -> Batch:
        """This rank's next micro-batch; after a step's last one the next step begins."""
        if self._micro == self._num_micro:
            self._finish_step()
        domain, draw = self.composition()
        slot = self._micro * self._num_ranks + self._rank
        stride = self._num_ranks * self._num_micro
        self._micro += 1
        return self._reader.read(domain[slot::stride], draw[slot::stride])

    def _finish_step(self) -> None:
        self._owed = self._debt()
        self._drawn = self._drawn + self._counts
        self._composition = None
        self._micro = 0
        self.step += 1

    def _debt(self) -> Weights:
        debt: Weights = self._owed + self._in_force * self.batch_size - self._counts
        return debt

    @property
    def signature(self) -> dict[str, Any]:
        """What a state must have been taken with to be continued here."""
        return {
            "version": STATE_VERSION,
            "names": list(self.names),
            "num_sequences": self._sizes.tolist(),
            "batch_size": self.batch_size,
            "sampling": [
                stream.digest if isinstance(stream, SampledStream) else None
                for stream in self.streams
            ],
        }

    def check_signature(self, other: Mapping[str, Any]) -> None:
        """Refuse the signature of a mixture whose batches cannot be continued here.

        Raises:
            ValueError: It is of another corpus, sequence length or batch size.
        """
        for field, own in self.signature.items():
            if other[field] != own:
                raise ValueError(
                    f"the checkpoint's mixture has another {field}: {other[field]} instead of "
                    f"{own}; resume with the corpus and data settings it was made with"
                )

    def state_dict(self) -> dict[str, Any]:
        """All that is needed to go on: a few plain numbers per domain, the same on every rank."""
        if self._micro == self._num_micro:
            self._finish_step()
        return {
            "signature": self.signature,
            "step": self.step,
            "micro": self._micro,
            "weights": self._weights.tolist(),
            "in_force": self._in_force.tolist(),
            "drawn": self._drawn.tolist(),
            "owed": self._owed.tolist(),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on where ``state`` was taken, with any number of ranks and micro-batches.

        Raises:
            ValueError: The state is of another mixture, or was taken between the micro-batches of
                a step that is now cut otherwise.
        """
        self.check_signature(state["signature"])
        if state["micro"] >= self._num_micro:
            raise ValueError(
                f"the checkpoint was taken after micro-batch {state['micro']} of a step, which now "
                f"has {self._num_micro}; resume with the same gradient accumulation"
            )
        self.step = state["step"]
        self._drawn = np.array(state["drawn"], dtype=np.int64)
        self._owed = np.array(state["owed"])
        self._reader.seek(self._drawn)
        self._composition = None
        self._micro = state["micro"]
        self._in_force = np.array(state["in_force"])
        if self._micro:
            self._weights = self._in_force
            self.composition()
        self._weights = np.array(state["weights"])
