import json
from pathlib import Path

import numpy as np
import pytest
import torch
from asked_runs import run
from corpora import write_corpus

from policies.feedback import LN2
from trainer.probes.memorisation import MemorisationProbe, columns, gap, push
from trainer.probes.probe import FORWARD
from trainer.probes.validation import ValidationLossProbe


def sums_of(saved: list[float], size: list[float], epoch: list[int]) -> np.ndarray:
    parts = (torch.tensor(part, dtype=torch.float64) for part in (saved, size))
    return columns(*parts, torch.tensor(epoch)).sum(dim=0).numpy()


def test_the_gap_is_what_later_readings_save_beyond_the_first() -> None:
    nothing = sums_of([], [], [])
    fresh = sums_of([1.0, 3.0, 2.0], [10.0, 20.0, 10.0], [0, 0, 0])
    later = sums_of([8.0, 12.0], [20.0, 20.0], [1, 4])
    found = gap(np.stack([fresh, nothing, later, nothing]), 0, 32)
    assert found.bits_per_byte[0] == pytest.approx((20 / 40 - 6 / 40) / LN2)
    # Residuals of a ratio of sums: the sequences' nats minus the ratio times their bytes.
    residuals = [np.array([1 - 1.5, 3 - 3.0, 2 - 1.5]), np.array([8 - 10.0, 12 - 10.0])]
    variances = [r @ r * len(r) / (len(r) - 1) / 40**2 for r in residuals]
    assert found.standard_error[0] == pytest.approx(np.sqrt(sum(variances)) / LN2)
    assert found.readings[0] == 2.5
    assert np.isnan([part[1] for part in found]).all()


def test_a_first_reading_has_no_gap_and_an_unmeasured_one_leaves_it_unknown() -> None:
    nothing, read = sums_of([], [], []), sums_of([1.0, 3.0], [10.0, 20.0], [0, 0])
    later = sums_of([1.0, 3.0], [10.0, 20.0], [1, 1])
    found = gap(np.stack([read, nothing, nothing, later]), 0, 32)
    assert found.bits_per_byte[0] == found.readings[0] == 0
    assert found.standard_error[0] > 0
    assert np.isnan(found.bits_per_byte[1])
    assert found.readings[1] == 1


def test_sequences_without_a_loss_are_left_out() -> None:
    some = sums_of([1.0, np.nan, np.inf, 2.0], [10.0, 10.0, 10.0, 20.0], [1, 1, 1, 2])
    assert some.tolist() == sums_of([1.0, 2.0], [10.0, 20.0], [1, 2]).tolist()


def test_a_domain_keeps_its_last_measurements() -> None:
    history = np.zeros((2, 2, 7))
    for number in (1.0, 2.0, 3.0):
        sums = np.zeros((2, 7))
        sums[0] = number
        if number < 2:
            sums[1] = number
        history = push(history, sums)
    assert history[:, 0, 0].tolist() == [2.0, 3.0]
    assert history[:, 1, 0].tolist() == [0.0, 1.0]


@pytest.fixture(scope="module")
def lopsided(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One domain that is read dozens of times in a run and one that is not read through."""
    return write_corpus(tmp_path_factory.mktemp("lopsided"), {"large": 60_000, "small": 500})


def test_text_that_is_read_again_and_again_is_remembered(lopsided: Path) -> None:
    probe = MemorisationProbe(sequences=8, window=16)
    model = {"learning_rate": 1e-2, "final_factor": 1.0}
    asking, _ = run(lopsided, probe, steps=60, model=model)
    first, last = asking.answers[0], asking.answers[-1]
    assert first.bits_per_byte.tolist() == first.readings.tolist() == [0, 0]
    assert last.bits_per_byte[0] == last.readings[0] == 0
    assert last.readings[1] > 10
    assert last.bits_per_byte[1] > 3 * last.standard_error[1] > 0
    # Two domains of eight held-out sequences each, and the batch.
    assert asking.tokens == pytest.approx([FORWARD * 32 * (2 * 8 + 8)] * 60)


def test_without_learning_nothing_is_remembered(lopsided: Path) -> None:
    model = {"learning_rate": 1e-12}
    asking, _ = run(lopsided, MemorisationProbe(sequences=8), steps=30, model=model)
    last = asking.answers[-1]
    assert last.readings[1] > 4
    assert abs(last.bits_per_byte[1]) < 3 * last.standard_error[1]


def test_training_is_compared_with_held_out_losses(lopsided: Path) -> None:
    model = {"learning_rate": 1e-12}
    asking, module = run(lopsided, MemorisationProbe(sequences=4), model=model)
    (held_out,) = run(lopsided, ValidationLossProbe(sequences=4), model=model)[0].answers
    (batch,), history = asking.batches, np.array(asking.probe.state_dict()["history"])
    with torch.no_grad():
        losses = module.network(batch.tokens).double().numpy()
    size, domain = module.bytes_of(batch).double().numpy(), batch.domain.numpy()
    saved = held_out.bits_per_byte[domain] * LN2 * size - losses
    expected = np.bincount(domain, saved, minlength=4)
    assert history[-1, :, 1] == pytest.approx(expected, abs=1e-3)
    assert history[-1, :, 2].tolist() == np.bincount(domain, size, minlength=4).tolist()


def test_what_it_remembers_survives_a_checkpoint(lopsided: Path) -> None:
    asked, _ = run(lopsided, MemorisationProbe(sequences=4), steps=6)
    assert asked.answers[-1].readings[1] > 0
    resumed = MemorisationProbe(sequences=4)
    resumed.load_state_dict(json.loads(json.dumps(asked.probe.state_dict())))
    # Both runs read the corpus from its start, where nothing has been read before.
    (one,) = run(lopsided, MemorisationProbe(sequences=4))[0].answers
    (other,) = run(lopsided, resumed)[0].answers
    assert one.readings[1] == 0
    assert other.readings[1] == asked.answers[-1].readings[1]
    assert other.bits_per_byte[1] != 0


def test_the_window_must_hold_a_measurement() -> None:
    with pytest.raises(ValueError, match="window must be at least 1, got 0"):
        MemorisationProbe(window=0)
