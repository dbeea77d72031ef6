"""Whole runs on real text: thirteen languages of the PHP manual, beside a proportional run.

    python benchmarks/phpdoc.py FOLDER_OF_TEXT [--steps 100] [-- more words for `glotmix fit`]

Writes what came of it, and how long it took, to ``benchmarks/results/phpdoc_DEVICE.md``.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import time
from pathlib import Path

import torch
from environment import describe

from trainer.summary import load_summary
from trainer.table import render

POLICIES = ("UCB", "Proportional")


def glotmix(*words: str) -> float:
    """Run one command to its end; returns seconds.

    Raises:
        subprocess.CalledProcessError: It failed.
    """
    start = time.perf_counter()
    subprocess.run([sys.executable, "-m", "trainer.cli", *words], check=True)
    return time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("source", type=Path)
    parser.add_argument("--steps", type=int, default=100)
    parser.add_argument("--work", type=Path, default=Path("runs/benchmark-phpdoc"))
    parser.add_argument("words", nargs="*", help="passed on to `glotmix fit`")
    options = parser.parse_args()
    corpus = options.work / "corpus"
    prepared = glotmix(
        "prepare", str(options.source), "--out", str(corpus), "--tokenizer", "bpe:16384"
    )
    runs, seconds = [], []
    for policy in POLICIES:
        run = options.work / policy.lower()
        shutil.rmtree(run, ignore_errors=True)
        words = ["fit", "--config", "configs/phpdoc.yaml", "--policy", policy]
        words += ["--run_dir", str(run), "--data.corpus", str(corpus)]
        words += ["--trainer.max_steps", str(options.steps)]
        words += ["--trainer.val_check_interval", str(max(1, options.steps // 2))]
        seconds.append(glotmix(*words, *options.words))
        runs.append((policy, load_summary(run)))
    device = "gpu" if torch.cuda.is_available() else "cpu"
    times = ", ".join(
        f"{name} {time_:.0f} s" for (name, _), time_ in zip(runs, seconds, strict=True)
    )
    text = (
        f"# Thirteen languages of the PHP manual, on a {device.upper()}\n\n{describe()}"
        f"- preparing with bpe:16384 (finished files are kept): {prepared:.0f} s\n"
        f"- training, from start to end, imports and validation included: {times}\n\n"
        "One seed and a short run: it shows that everything works on real text, not which policy "
        f"is better. Bits per byte on the validation split.\n\n```\n{render(runs)}\n```\n"
    )
    out = Path(__file__).parent / "results" / f"phpdoc_{device}.md"
    out.parent.mkdir(exist_ok=True)
    out.write_text(text)
    print(text)


if __name__ == "__main__":
    main()
