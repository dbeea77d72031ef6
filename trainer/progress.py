"""The progress bar: steps done, time left, mean and worst bits per byte."""

from __future__ import annotations

import numpy as np
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import TQDMProgressBar

from trainer.mixing import MixingCallback


class MixtureProgressBar(TQDMProgressBar):
    """Shows the smoothed training loss in bits per byte, averaged over domains, and the worst."""

    def __init__(self, mixing: MixingCallback, refresh_rate: int = 10) -> None:
        super().__init__(refresh_rate=refresh_rate)
        self._mixing = mixing

    def get_metrics(
        self, trainer: Trainer, pl_module: LightningModule
    ) -> dict[str, int | str | float | dict[str, float]]:
        if not trainer.training:
            return {}
        smooth = self._mixing.totals.smooth
        seen = np.isfinite(smooth)
        if not seen.any():
            return {}
        worst = int(np.nanargmax(smooth))
        return {
            "bits/byte": f"{smooth[seen].mean():.3f}",
            "worst": f"{self._mixing.names[worst]} {smooth[worst]:.3f}",
        }
