"""Transfer read back from runs: the summary's numbers, with the errors of the checkpoint."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from made_up_records import made_up
from small_runs import configuration, run_here

from trainer.report.run_record import RunRecord, read_run
from trainer.transfer_effects import read_transfer

MINIMAX = {
    "class_path": "MinimaxRegret",
    "init_args": {"block": 0.02, "min_pairs": 2, "solver": "play"},
}


@pytest.fixture(scope="module")
def folder(corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    config = configuration(corpus, tmp_path_factory.mktemp("transfer") / "run", policy=MINIMAX)
    # Not in alphabetical order, which is the policy's own.
    config["data"]["domains"] = ["sw", "en", "de"]
    return run_here(config)


def test_effects_are_those_of_the_summary_and_have_errors(folder: Path) -> None:
    record = read_run(folder)
    found = read_transfer(folder, record)
    assert found.names == tuple(record.domains)
    np.testing.assert_array_equal(found.value, record.matrices["transfer"])
    assert (found.standard_error > 0).all()
    assert np.abs(found.value).max() < 100 * found.standard_error.max()


def test_without_a_checkpoint_errors_are_unknown(folder: Path) -> None:
    (folder / "checkpoints").rename(folder / "elsewhere")
    try:
        record = read_run(folder)
        found = read_transfer(folder, record)
    finally:
        (folder / "elsewhere").rename(folder / "checkpoints")
    np.testing.assert_array_equal(found.value, record.matrices["transfer"])
    assert np.isnan(found.standard_error).all()


def test_a_run_that_measures_no_transfer_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="got UCB; MinimaxRegret does"):
        read_transfer(tmp_path, made_up(3))


def test_entries_that_are_not_known_stay_so(tmp_path: Path) -> None:
    known = made_up(2)
    matrices = {"transfer": [[1.0, None], [2.0, 3.0]]}
    record = RunRecord(**{**vars(known), "policy": "Aioli", "matrices": matrices})
    found = read_transfer(tmp_path, record)
    np.testing.assert_array_equal(found.value, [[1.0, np.nan], [2.0, 3.0]])
