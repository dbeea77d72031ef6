"""Per-sequence losses on their way from the devices to the policy, without making a device wait."""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, distributed

from policies import Array, Feedback, Signal
from policies.signals import FORMS

# float32 holds whole numbers up to 2**24 exactly.
_FINGERPRINT_MASK = 2**24 - 1

_WHOLE = ("counts", "sequence_domain")
_REAL = ("weights", "epochs", "sequence_loss", "sequence_tokens", "sequence_bytes")


@dataclass(frozen=True)
class StepRecord:
    """What was decided and drawn for one step, known on the host before any loss is."""

    step: int
    weights: Array
    counts: NDArray[np.int64]
    epochs: Array
    sequence_domain: NDArray[np.int64]
    sequence_length: int
    learning_rate: float


class PendingFeedback:
    """A step's losses, copied from the device while the next step is being computed.

    Args:
        record: What was drawn for the step.
        parts: For each micro-batch of this rank the losses and bytes of its sequences, each (B,).
        num_ranks: Processes; their parts are gathered, so that every rank hears the same.
        signals: What was measured in the step, the same on every rank.
    """

    def __init__(
        self,
        record: StepRecord,
        parts: list[tuple[Tensor, Tensor]],
        num_ranks: int,
        signals: Mapping[Signal, Any] | None = None,
    ) -> None:
        self.record = record
        self._signals = signals or {}
        rows = torch.stack([torch.stack(part) for part in parts])  # (micro, 2, B)
        mark = torch.full_like(rows[:, :, :1], float(fingerprint(record.weights)))
        own = torch.cat([rows, mark], dim=2)
        gathered = torch.empty((num_ranks, *own.shape), dtype=own.dtype, device=own.device)
        if num_ranks > 1:
            distributed.all_gather(list(gathered), own)
        else:
            gathered[0] = own
        self._event: torch.cuda.Event | None = None
        if gathered.is_cuda:
            self._host = torch.empty(gathered.shape, dtype=gathered.dtype, pin_memory=True)
            self._host.copy_(gathered, non_blocking=True)
            self._event = torch.cuda.Event()  # type: ignore[no-untyped-call]
            self._event.record()
        else:
            self._host = gathered

    def feedback(self) -> Feedback:
        """The step's feedback in the order of the global batch, the same on every rank.

        Raises:
            RuntimeError: Ranks drew the batch at different weights.
        """
        if self._event is not None:
            self._event.synchronize()
        values = self._host.numpy().astype(np.float64)  # (rank, micro, 2, B + 1)
        marks = values[..., -1]
        if (marks != marks.flat[0]).any():
            raise RuntimeError(
                f"ranks drew step {self.record.step} at different weights; a policy must decide "
                "from its state and the step alone"
            )
        # Row r of the global batch is dealt to rank r % ranks, then to the micro-batches in turn.
        losses, sizes = values[..., :-1].transpose(2, 3, 1, 0).reshape(2, -1)
        return make_feedback(self.record, losses, sizes, self._signals)


def make_feedback(
    record: StepRecord, losses: Array, sizes: Array, signals: Mapping[Signal, Any]
) -> Feedback:
    """Join what was drawn with what came of it: losses in nats and bytes of text, each (n,)."""
    return Feedback(
        step=record.step,
        weights=record.weights,
        counts=record.counts,
        epochs=record.epochs,
        sequence_domain=record.sequence_domain,
        sequence_loss=losses,
        sequence_tokens=np.full(len(losses), float(record.sequence_length)),
        sequence_bytes=sizes,
        learning_rate=record.learning_rate,
        signals=signals,
    )


def fingerprint(weights: Array) -> int:
    """24 bits that differ, almost surely, when any weight differs in any bit."""
    return zlib.crc32(weights.tobytes()) & _FINGERPRINT_MASK


def feedback_document(feedback: Feedback) -> dict[str, Any]:
    """A feedback as plain Python and tensors, for a checkpoint."""
    fields = {name: getattr(feedback, name).tolist() for name in (*_WHOLE, *_REAL)}
    # Sketches of gradients are long: tensors take a fraction of the room of lists.
    signals = {
        str(signal): [torch.from_numpy(np.array(array)) for array in answer]
        for signal, answer in feedback.signals.items()
    }
    return {
        "step": feedback.step,
        "learning_rate": feedback.learning_rate,
        "signals": signals,
        **fields,
    }


def feedback_from_document(document: Mapping[str, Any]) -> Feedback:
    """The inverse of `feedback_document`."""
    fields: dict[str, Any] = {
        name: np.array(document[name], dtype=np.int64 if name in _WHOLE else np.float64)
        for name in (*_WHOLE, *_REAL)
    }
    signals = {
        Signal(name): FORMS[Signal(name)](*(tensor.numpy() for tensor in answer))
        for name, answer in document["signals"].items()
    }
    return Feedback(
        step=document["step"],
        learning_rate=document["learning_rate"],
        signals=signals,
        **fields,
    )
