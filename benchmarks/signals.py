"""What signals cost: one measurement of each against a step of training, in the same run.

    python benchmarks/signals.py [CORPUS] [--device cuda] [--steps 96]

CORPUS is a prepared folder, by default data/phpdoc-byte: thirteen languages, tokens are bytes.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import torch
from environment import describe
from lightning.pytorch import Callback, LightningModule, Trainer

from policies import Array, Decision, Policy, Signal, Task
from trainer.data import CorpusDataModule
from trainer.mixing import MixingCallback
from trainer.module import LanguageModel
from trainer.network import build_network
from trainer.probes.settings import SignalSettings

RESULTS = Path(__file__).parent / "results"
# How often policies ask by default: every hundred steps.
CADENCE = 100
SIZES: dict[str, dict[str, int]] = {
    "cpu": {
        "hidden_size": 192,
        "intermediate_size": 512,
        "num_hidden_layers": 4,
        "num_attention_heads": 6,
        "num_key_value_heads": 6,
    },
    # 160 million parameters with the embedding.
    "cuda": {
        "hidden_size": 768,
        "intermediate_size": 3072,
        "num_hidden_layers": 12,
        "num_attention_heads": 12,
        "num_key_value_heads": 12,
    },
}
LENGTH = {"cpu": 256, "cuda": 1024}
SIGNALS = tuple(Signal)


class Kept(NamedTuple):
    """The mixture, which never changes; shape (k,)."""

    weights: Array


@dataclass(frozen=True, kw_only=True)
class InTurn(Policy):
    """Keeps the prior and asks for one signal after the other, in every second step."""

    @property
    def signals(self) -> frozenset[Signal]:
        return frozenset(SIGNALS)

    def init(self, task: Task) -> Kept:
        return Kept(task.prior)

    def decide(self, state: Kept, step: int) -> Decision:
        if step % 2 == 0:
            return Decision(state.weights)
        return Decision(state.weights, frozenset({SIGNALS[step // 2 % len(SIGNALS)]}))


class Watch(Callback):
    """Seconds of each step and of the measurements in it, by signal ("" for none)."""

    def __init__(self, mixing: MixingCallback) -> None:
        self._mixing = mixing
        self.plain: list[float] = []
        self.signals: dict[Signal, list[float]] = {signal: [] for signal in SIGNALS}
        self._last = 0.0
        self._before: dict[Signal, float] = {}

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._last = time.perf_counter()

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        if pl_module.device.type == "cuda":
            torch.cuda.synchronize()
        now = time.perf_counter()
        spent = {signal: cost.seconds for signal, cost in self._mixing.panel.costs.items()}
        asked = [signal for signal in spent if spent[signal] > self._before.get(signal, 0.0)]
        if asked:
            self.signals[asked[0]].append(spent[asked[0]] - self._before.get(asked[0], 0.0))
        elif batch_idx > 1:  # The first steps prepare what later ones find ready.
            self.plain.append(now - self._last)
        self._before, self._last = spent, now


def measure(corpus: Path, device: str, steps: int, batch_size: int) -> tuple[Watch, MixingCallback]:
    data = CorpusDataModule(corpus, sequence_length=LENGTH[device], batch_size=batch_size)
    with tempfile.TemporaryDirectory() as folder:
        network = build_network(
            architecture="llama",
            config=SIZES[device],
            pretrained=None,
            vocab_size=data.vocab_size,
            sequence_length=LENGTH[device],
            seed=1,
        )
        network.model.save_pretrained(folder)
        mixing = MixingCallback(InTurn(), signals=SignalSettings(reference=Path(folder)))
        watch = Watch(mixing)
        trainer = Trainer(
            accelerator="gpu" if device == "cuda" else "cpu",
            devices=1,
            precision="bf16-mixed" if device == "cuda" else "32-true",
            max_epochs=-1,
            max_steps=steps,
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            limit_val_batches=0,
            callbacks=[mixing, watch],
        )
        trainer.fit(LanguageModel(config=SIZES[device], warmup_steps=0), data)
    return watch, mixing


def table(watch: Watch, mixing: MixingCallback, tokens_per_step: int) -> list[str]:
    step = statistics.median(watch.plain)
    lines = [
        "| signal | measurements | one, in steps of training | of training time, every "
        f"{CADENCE} steps | of its tokens |",
        "|---|---:|---:|---:|---:|",
        "| training loss | every step | 0 | 0 | 0 |",
    ]
    for signal, seconds in watch.signals.items():
        one = statistics.median(seconds) / step
        cost = mixing.panel.costs[signal]
        tokens = cost.tokens / cost.measurements / tokens_per_step
        lines.append(
            f"| `{signal}` | {len(seconds)} | {one:.2f} | {one / CADENCE:.2%} "
            f"| {tokens / CADENCE:.2%} |"
        )
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("corpus", type=Path, nargs="?", default=Path("data/phpdoc-byte"))
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--steps", type=int, default=100)
    parser.add_argument("--batch_size", type=int, default=32)
    arguments = parser.parse_args()
    device = arguments.device
    warnings.filterwarnings("ignore", message=r"`isinstance\(treespec, LeafSpec\)`")
    watch, mixing = measure(arguments.corpus, device, arguments.steps, arguments.batch_size)
    settings = SignalSettings()
    text = [
        "# What signals cost\n",
        describe(),
        f"A Llama of {SIZES[device]['num_hidden_layers']} layers of width "
        f"{SIZES[device]['hidden_size']}, {len(mixing.names)} languages, batches of "
        f"{arguments.batch_size} sequences of {LENGTH[device]} tokens. Medians, against the median "
        "step without a measurement in the same run. Signals at their defaults: "
        f"{settings.validation_sequences} held-out sequences per language for losses, "
        f"{settings.gradient_sequences} per language for gradients, sketches of "
        f"{settings.sketch_size} numbers. A larger batch makes all but `reference_loss` cheaper. "
        "Tokens are what `tokens/total_cost` counts: a forward pass is a third of a token of "
        "training, a backward pass without the gradients of parameters another third.\n",
        *table(watch, mixing, arguments.batch_size * LENGTH[device]),
        "",
    ]
    path = RESULTS / f"signals_{device}.md"
    path.write_text("\n".join(text), encoding="utf-8")
    print(path.read_text(encoding="utf-8"))


if __name__ == "__main__":
    main()
