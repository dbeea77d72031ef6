"""The progress bar in narrow and in wide terminals."""

from __future__ import annotations

import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from small_runs import configuration, run_here

from trainer.progress import MixtureProgressBar, figures

NAMES = ("eng_Latn", "zho_Hans", "swh_Latn")
LOSSES, SHARES = np.array([1.2144, 2.9849, np.nan]), np.array([0.084, 0.116, 0.0041])


class Mixing:
    """Enough of a mixing callback in the last hours of a run."""

    names = NAMES
    totals = SimpleNamespace(smooth=LOSSES)

    def mixture_now(self) -> Any:
        return SimpleNamespace(weights=SHARES)


@pytest.mark.parametrize("columns", [80, 100, 120])
def test_nothing_is_cut_off(columns: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    progress = MixtureProgressBar(Mixing())  # type: ignore[arg-type]
    bar: Any = progress.init_train_tqdm()
    bar.set_postfix(progress.get_metrics(None, None), refresh=False)  # type: ignore[arg-type]
    bar.close()
    # tqdm leaves the last column empty.
    late = {"n": 89999, "total": 100000, "elapsed": 333333.0, "ncols": columns - 1}
    line = bar.format_meter(**dict(bar.format_dict) | late)
    assert len(line) < columns
    for words in ("90%", "10:17:2", "=2.10", "eng_Latn 1.21@8.4%", "zho_Hans 2.98@12%"):
        assert words in line
    assert ("89999/100000" in line) == ("it/s" in line) == (columns == 120)


def test_languages_that_were_not_seen_are_left_out() -> None:
    texts = {"best": "eng_Latn 1.21@8.4%", "worst": "zho_Hans 2.98@12%"}
    assert figures(NAMES, LOSSES, SHARES) == ("2.10", texts)
    assert figures(NAMES, np.full(3, np.nan), SHARES) == ("", {})


@pytest.mark.parametrize(
    ("share", "text"), [(1.0, "100%"), (0.0996, "10%"), (0.0994, "9.9%"), (0.0004, "0.0%")]
)
def test_small_shares_have_a_decimal(share: float, text: str) -> None:
    _, shown = figures(("a",), np.array([1.0]), np.array([share]))
    assert shown["best"] == f"a 1.00@{text}"


def test_a_run_shows_its_languages(
    corpus: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    run_here(configuration(corpus, tmp_path / "run", trainer__enable_progress_bar=True))
    lines = [line.strip() for line in re.split(r"[\r\n]", capsys.readouterr().out)]
    trained = [line for line in lines if line.startswith("100%")]
    # Validation does not wipe it off.
    assert re.search(r"mean=\d\.\d\d, best=\w\w \d.*@.*%, worst=\w\w \d.*@.*%$", trained[-1])
    assert max(map(len, trained)) <= 80
