"""The probes of a run: which there are, what each step's decision wants of them, what they cost."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Any

import torch
from lightning.pytorch import Trainer

from mixer.batch import Batch
from policies import Signal
from trainer.data import CorpusDataModule
from trainer.module import LanguageModel
from trainer.probes.probe import Probe
from trainer.probes.settings import SignalSettings


@dataclass
class SignalCost:
    """What a signal has cost so far.

    Attributes:
        measurements: How often it was measured.
        tokens: What that cost over all ranks, in tokens of training.
        seconds: What it took; on a resumed run, before and after.
    """

    measurements: int = 0
    tokens: float = 0.0
    seconds: float = 0.0


class ProbePanel:
    """Measures signals when decisions ask for them.

    Args:
        settings: How they are measured.
        signals: All that the policy may ever ask for.

    Raises:
        ValueError: A setting is out of range or missing.
    """

    def __init__(self, settings: SignalSettings, signals: Iterable[Signal]) -> None:
        self._probes: dict[Signal, Probe] = {
            signal: settings.probe(signal) for signal in sorted(signals)
        }
        self.costs = {signal: SignalCost() for signal in self._probes}
        self._device: torch.device | None = None

    @property
    def tokens(self) -> float:
        """What all measurements have cost, in tokens of training."""
        return sum(cost.tokens for cost in self.costs.values())

    def setup(self, trainer: Trainer, module: LanguageModel, data: CorpusDataModule) -> None:
        """Open what the probes need.

        Raises:
            ValueError: A signal cannot be measured in this run.
        """
        self._device = module.device
        for probe in self._probes.values():
            probe.setup(trainer, module, data)

    def see(self, wanted: Iterable[Signal], batch: Batch) -> None:
        """Show a micro-batch to the probes of the step's signals, before it is trained on."""
        for signal in sorted(wanted):
            with self._timed(signal):
                self._probes[signal].see(batch)

    def answers(self, wanted: Iterable[Signal]) -> dict[Signal, Any]:
        """The step's signals, after it."""
        found: dict[Signal, Any] = {}
        for signal in sorted(wanted):
            with self._timed(signal):
                found[signal] = self._probes[signal].answer()
            self.costs[signal].measurements += 1
        return found

    @contextmanager
    def _timed(self, signal: Signal) -> Iterator[None]:
        self._synchronise()
        probe, cost, began = self._probes[signal], self.costs[signal], time.perf_counter()
        yield
        self._synchronise()
        cost.seconds += time.perf_counter() - began
        cost.tokens += probe.tokens
        probe.tokens = 0.0

    def _synchronise(self) -> None:
        if self._device is not None and self._device.type == "cuda":
            torch.cuda.synchronize(self._device)

    def metrics(self) -> dict[str, float]:
        """What charts should show, by tag."""
        metrics: dict[str, float] = {}
        for signal, cost in self.costs.items():
            metrics[f"signals/tokens/{signal}"] = cost.tokens
            each = 1e3 * cost.seconds / max(1, cost.measurements)
            metrics[f"signals/milliseconds/{signal}"] = each
        return metrics

    def documents(self) -> dict[str, dict[str, float]]:
        """What each signal has cost, for a run's summary."""
        return {str(signal): asdict(cost) for signal, cost in self.costs.items()}

    def state_dict(self) -> dict[str, Any]:
        return {
            str(signal): {"cost": asdict(self.costs[signal]), "probe": probe.state_dict()}
            for signal, probe in self._probes.items()
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        for signal, probe in self._probes.items():
            if str(signal) in state:
                self.costs[signal] = SignalCost(**state[str(signal)]["cost"])
                probe.load_state_dict(state[str(signal)]["probe"])
