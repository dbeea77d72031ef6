"""A small run and a small comparison over the built-in stories, for those who have none yet."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

from mixer.manifest import FILE_NAME as MANIFEST
from trainer.summary import FILE_NAME as SUMMARY
from trainer.summary import load_summary, write_json

POLICIES = {"proportional": "Proportional", "uniform": "Uniform", "unimax": "UniMax"}
BASELINE, SEEDS = "proportional", [0, 1, 2]
RUN_STEPS, COMPARED_STEPS = 160, 32
# Of the stories' languages, from the largest to the smallest; in three scripts and families.
LANGUAGES = ("en", "es", "de", "ru", "hi", "uk")
# A tenth of the standard size: the smallest language is read again and again all the same.
_SCALE = 0.1
# Pairs of blocks of a step each: the most trials of which language helps which.
_POLICY = {"class_path": "MinimaxRegret", "init_args": {"block": 1 / RUN_STEPS}}


def small_run(folder: Path) -> Path:
    """Train a tiny model with MinimaxRegret; only returns the run's folder if that is done.

    Args:
        folder: Where the run goes, and the corpus beside it.
    """
    run = folder / "small-run"
    if not ((run / SUMMARY).is_file() and load_summary(run)["finished"]):
        print("training a small model on the built-in stories, a minute or so", flush=True)
        document = _settings(_corpus(folder), RUN_STEPS) | {"policy": _POLICY, "run_dir": str(run)}
        write_json(folder / "small-run.json", document)
        glotmix("fit", "--config", str(folder / "small-run.json"))
    return run


def small_comparison(folder: Path) -> Path:
    """Compare three static policies on three seeds; only returns the folder if that is done.

    Args:
        folder: Where the comparison goes, and the corpus beside it.
    """
    out = folder / "small-comparison"
    if not (out / "table.csv").is_file():
        print("training nine small models on the built-in stories, some minutes", flush=True)
        document = {
            "run": _settings(_corpus(folder), COMPARED_STEPS),
            "policies": POLICIES,
            "baseline": BASELINE,
            "seeds": SEEDS,
            "jobs": 2,
        }
        write_json(folder / "small-comparison.json", document)
        glotmix("compare", "--config", str(folder / "small-comparison.json"), "--out", str(out))
    return out


def glotmix(*words: str) -> None:
    """Run a glotmix command; what it prints shows only if it fails.

    Raises:
        RuntimeError: It failed.
    """
    done = subprocess.run(
        [sys.executable, "-m", "trainer.cli", *words], capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise RuntimeError(f"glotmix {' '.join(words)} failed:\n{done.stdout}{done.stderr}")


def _corpus(folder: Path) -> Path:
    """The stories as byte tokens, written if they are not there."""
    text, corpus = folder / "small-stories-text", folder / "small-stories"
    if not (corpus / MANIFEST).is_file():
        glotmix("stories", str(text), "--scale", str(_SCALE))
        glotmix("prepare", str(text), "--out", str(corpus), "--workers", "1")
    return corpus


def _settings(corpus: Path, steps: int) -> dict[str, Any]:
    """What both have in common, as ``glotmix fit`` takes it."""
    return {
        "data": {
            "corpus": str(corpus),
            "domains": list(LANGUAGES),
            "sequence_length": 64,
            "batch_size": 16,
            "validation_sequences": 8,
        },
        "signals": {"validation_sequences": 4},
        "model": {
            "config": {
                "hidden_size": 32,
                "intermediate_size": 64,
                "num_hidden_layers": 1,
                "num_attention_heads": 2,
                "num_key_value_heads": 2,
            },
            "learning_rate": 1e-2,
            "warmup_steps": 5,
        },
        "trainer": {
            "accelerator": "cpu",
            "devices": 1,
            "max_steps": steps,
            "val_check_interval": steps // 4,
            "log_every_n_steps": steps // 32,
            "enable_progress_bar": False,
            "enable_model_summary": False,
        },
        "checkpoint": {"every_n_train_steps": steps},
    }
