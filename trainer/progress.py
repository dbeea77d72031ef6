"""The progress bar: steps done, time left, and how the best and the worst language are doing."""

from __future__ import annotations

import shutil
from collections.abc import Sequence

import numpy as np
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import TQDMProgressBar
from lightning.pytorch.callbacks.progress.tqdm_progress import Tqdm

from policies import Array
from trainer.mixing import MixingCallback

# Columns that the long form needs at 100,000 steps and with names like zho_Hans; the short one
# fits into 80.
_WIDE = 119
_LONG = (
    "{percentage:3.0f}%|{bar}| {n_fmt}/{total_fmt} "
    "[{elapsed}<{remaining}, {rate_noinv_fmt}{postfix}]"
)
_SHORT = "{percentage:3.0f}%|{bar}|{remaining}{postfix}"
_LONGEST_NAME = 8


class MixtureProgressBar(TQDMProgressBar):
    """Shows the smoothed training loss in bits per byte and the shares of the next batch.

    Args:
        mixing: Knows the losses and the mixture.
        refresh_rate: Batches from one look to the next.
    """

    def __init__(self, mixing: MixingCallback, refresh_rate: int = 10) -> None:
        super().__init__(refresh_rate=refresh_rate)
        self._mixing = mixing
        self._narrow = False

    def init_train_tqdm(self) -> Tqdm:
        bar = super().init_train_tqdm()
        # What is no terminal, such as a file, has room.
        self._narrow = shutil.get_terminal_size((_WIDE, 24)).columns < _WIDE
        bar.bar_format = _SHORT if self._narrow else _LONG
        return bar

    def get_metrics(
        self, trainer: Trainer, pl_module: LightningModule
    ) -> dict[str, int | str | float | dict[str, float]]:
        mixing = self._mixing
        mean, others = figures(mixing.names, mixing.totals.smooth, mixing.mixture_now().weights)
        return {("mean" if self._narrow else "bits/byte"): mean, **others} if mean else {}


def figures(
    names: Sequence[str], bits_per_byte: Array, weights: Array
) -> tuple[str, dict[str, str]]:
    """The mean loss, and the loss and the weight of the best and of the worst language.

    Args:
        names: Of the k languages.
        bits_per_byte: Shape (k,); NaN where nothing was seen.
        weights: Shape (k,).
    """
    seen = np.isfinite(bits_per_byte)
    if not seen.any():
        return "", {}
    places = {
        "best": int(np.nanargmin(bits_per_byte)),
        "worst": int(np.nanargmax(bits_per_byte)),
    }
    texts = {
        which: f"{names[at][:_LONGEST_NAME]} {bits_per_byte[at]:.2f}@{_percent(weights[at])}"
        for which, at in places.items()
    }
    return f"{bits_per_byte[seen].mean():.2f}", texts


def _percent(share: float) -> str:
    return f"{share:.0%}" if share >= 0.0995 else f"{share:.1%}"
