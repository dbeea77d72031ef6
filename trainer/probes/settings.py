"""How signals are measured, as a configuration says it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from policies import Signal
from trainer.probes.alignment import GradientAlignmentProbe
from trainer.probes.memorisation import MemorisationProbe
from trainer.probes.noise import GradientNoiseProbe
from trainer.probes.probe import Probe
from trainer.probes.reference import ReferenceLossProbe
from trainer.probes.validation import Share, ValidationLossProbe


@dataclass(frozen=True, kw_only=True)
class SignalSettings:
    """How signals are measured. How often is the policy's business.

    Args:
        validation_sequences: Held-out sequences per domain behind a validation loss, on average.
        validation_share: "equal" for as many of each domain, "neyman" for more where losses vary.
        gradient_sequences: Sequences per domain behind gradients: held out for the alignment, from
            the training split for the noise.
        sketch_size: Numbers that stand for a gradient.
        gradient_layers: Regular expression that names of linear layers must match to count.
        preconditioned: Whether gradients for the alignment are scaled as AdamW would.
        reference: Model behind a reference loss: a checkpoint of a run or a folder that
            `from_pretrained` opens.
    """

    validation_sequences: int = 16
    validation_share: Share = "equal"
    gradient_sequences: int = 2
    sketch_size: int = 1024
    gradient_layers: str = ".*"
    preconditioned: bool = False
    reference: Path | None = None

    def probe(self, signal: Signal) -> Probe:
        """What measures a signal.

        Raises:
            ValueError: A setting is out of range or missing.
        """
        make: dict[Signal, Callable[[], Probe]] = {
            Signal.VALIDATION_LOSS: self._validation,
            Signal.GRADIENT_ALIGNMENT: self._alignment,
            Signal.GRADIENT_NOISE: self._noise,
            Signal.REFERENCE_LOSS: self._reference,
            Signal.MEMORISATION_GAP: self._memorisation,
        }
        return make[signal]()

    def _validation(self) -> Probe:
        return ValidationLossProbe(self.validation_sequences, self.validation_share)

    def _alignment(self) -> Probe:
        return GradientAlignmentProbe(
            sequences=self.gradient_sequences,
            sketch_size=self.sketch_size,
            layers=self.gradient_layers,
            preconditioned=self.preconditioned,
        )

    def _noise(self) -> Probe:
        return GradientNoiseProbe(
            sequences=self.gradient_sequences,
            sketch_size=self.sketch_size,
            layers=self.gradient_layers,
        )

    def _reference(self) -> Probe:
        if self.reference is None:
            raise ValueError(
                "signals.reference must name the model that losses are compared with: a checkpoint "
                "of a run, or a folder that from_pretrained opens"
            )
        return ReferenceLossProbe(self.reference)

    def _memorisation(self) -> Probe:
        return MemorisationProbe(self.validation_sequences)
