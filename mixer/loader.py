"""The mixture as a torchdata node and as a sized, stateful loader for a training loop."""

from __future__ import annotations

from typing import Any

from torchdata.nodes import BaseNode, Loader

from mixer.batch import Batch
from mixer.mixture import Mixture


class MixtureNode(BaseNode[Batch]):  # type: ignore[misc]
    """The root of a torchdata pipeline: draws a batch only when it is asked for one.

    Put no prefetching node behind it: a batch waiting there was drawn under old weights.
    """

    def __init__(self, mixture: Mixture) -> None:
        super().__init__()
        self.mixture = mixture

    def reset(self, initial_state: dict[str, Any] | None = None) -> None:
        super().reset(initial_state)
        if initial_state is None:
            self.mixture.reset()
        else:
            self.mixture.load_state_dict(initial_state)

    def next(self) -> Batch:
        return self.mixture.next_batch()

    def get_state(self) -> dict[str, Any]:
        return self.mixture.state_dict()


class MixtureLoader(Loader[Batch]):  # type: ignore[misc]
    """Batches of a mixture without looking ahead, with a length and a state.

    It has a length because training loops fetch one batch ahead of a loader that has none, and that
    batch would obey old weights and be lost on a resume.

    Args:
        mixture: Where batches come from.
        num_batches: Batches of the whole run on this rank: steps times micro-batches.
    """

    def __init__(self, mixture: Mixture, num_batches: int) -> None:
        # Restarting would need to look one batch ahead.
        super().__init__(MixtureNode(mixture), restart_on_stop_iteration=False)
        self._num_batches = num_batches

    def __len__(self) -> int:
        return self._num_batches
