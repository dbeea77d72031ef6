"""A whole run on real text within constraints, read from its log."""

from __future__ import annotations

import io
import shutil
from pathlib import Path

import numpy as np
import pytest
import zstandard
from numpy.typing import NDArray
from small_runs import configuration, run_here
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from mixer.prepare import prepare
from trainer.summary import load_summary

REAL = Path(__file__).parents[3] / "shared/corpora/phpdoc"
SMALL = ("ro", "uk", "it", "pl")
SHARE, EPOCHS, FLOOR, CHANGE = 0.08, 15.0, 0.01, 0.05
BATCH, LENGTH, STEPS = 64, 32, 500
# What a chart keeps of a number, float32, leaves of a sum of many.
EXACT = 1e-6


def read(run_dir: Path, tag: str, names: list[str]) -> NDArray[np.float64]:
    """One row per step, one column per language."""
    events = EventAccumulator(str(run_dir), size_guidance={"scalars": 0})
    events.Reload()
    columns = [[event.value for event in events.Scalars(f"{tag}/{name}")] for name in names]
    return np.array(columns, dtype=np.float64).T


def check_log(run_dir: Path, tokens_per_step: int, sequence_length: int) -> NDArray[np.float64]:
    """Find no step that breaks a constraint in drawn tokens; returns the epochs at the end."""
    names = list(load_summary(run_dir)["domains"])
    small = [names.index(name) for name in SMALL]
    weights, tokens, epochs = (
        read(run_dir, f"mixture/{tag}", names) for tag in ("weight", "tokens", "epochs")
    )
    steps = np.arange(1, len(tokens) + 1)
    np.testing.assert_array_equal(tokens.sum(axis=1), steps * tokens_per_step)
    sequence = sequence_length / tokens_per_step

    # What was asked of each step.
    assert weights[:, small].sum(axis=1).max() <= SHARE + EXACT
    assert weights.min() >= FLOOR - EXACT
    assert np.abs(np.diff(weights, axis=0)).sum(axis=1).max() / 2 <= CHANGE + EXACT

    # What was drawn in each step: the weights that a line shows rule the step after it.
    drawn = np.diff(tokens, axis=0) / tokens_per_step
    assert np.abs(drawn - weights[:-1]).max() < sequence + EXACT

    # What was drawn up to each step, in sequences beyond what was allowed. Every language is
    # rounded by less than one, a group by less than one for each of its members.
    allowed = (steps * tokens_per_step)[:, None]
    assert ((FLOOR * allowed - tokens) / sequence_length).max() < 1
    over = tokens[:, small].sum(axis=1) - SHARE * allowed[:, 0]
    assert over.max() / sequence_length < len(SMALL)
    assert (epochs <= EPOCHS).all()
    return epochs[-1]


@pytest.fixture
def corpus_of_parts(tmp_path: Path) -> Path:
    """Thirteen languages, one document in sixty of each, as bytes."""
    for language in sorted(path for path in REAL.iterdir() if path.is_dir()):
        folder = tmp_path / "text" / language.name
        folder.mkdir(parents=True)
        shutil.copy(language / "validation.jsonl.zst", folder)
        with (language / "train.jsonl.zst").open("rb") as file:
            stream = zstandard.ZstdDecompressor().stream_reader(file)
            lines = list(io.TextIOWrapper(stream, encoding="utf-8"))
        (folder / "train.jsonl").write_text("".join(lines[50::60]), encoding="utf-8")
    prepare(tmp_path / "text", tmp_path / "corpus")
    return tmp_path / "corpus"


@pytest.mark.slow
@pytest.mark.skipif(not REAL.is_dir(), reason=f"no real text in {REAL}")
def test_no_step_of_a_real_run_breaks_a_constraint(corpus_of_parts: Path, tmp_path: Path) -> None:
    weights = {"ro": 0.4, "uk": 0.05, "it": 0.05, "pl": 0.05}
    others = dict.fromkeys(("de", "en", "es", "fr", "ja", "pt", "ru", "tr", "zh"), 0.05)
    run_dir = run_here(
        configuration(
            corpus_of_parts,
            tmp_path / "run",
            policy={"class_path": "Fixed", "init_args": {"weights": weights | others}},
            groups={"small": list(SMALL)},
            constraints=[
                {"share": {"of": "small", "maximum": SHARE}},
                {"epochs": EPOCHS},
                {"floor": FLOOR},
                {"change": CHANGE},
            ],
            data__sequence_length=LENGTH,
            data__batch_size=BATCH,
            model__config__hidden_size=16,
            model__config__intermediate_size=16,
            trainer__max_steps=STEPS,
            trainer__val_check_interval=STEPS,
            trainer__log_every_n_steps=1,
            checkpoint__every_n_train_steps=STEPS,
        )
    )
    epochs = check_log(run_dir, BATCH * LENGTH, LENGTH)
    assert 14 < epochs.max() <= EPOCHS
    assert not any(entry["relaxed_steps"] for entry in load_summary(run_dir)["constraints"])
