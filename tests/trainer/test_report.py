"""A run's page: what it tells of runs that finished, died, or never were."""

import json
import re
import shutil
import sys
import warnings
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from made_up_records import made_up
from small_runs import configuration, run_here

from trainer import cli
from trainer.report.page import page
from trainer.report.run_record import read_run
from trainer.report.writing import report
from trainer.summary import load_summary

POLICY = {
    "class_path": "Aioli",
    "init_args": {"update_every": 6, "sweeps": 1, "interval_steps": 1},
}


class Page(HTMLParser):
    """Headings, the cells of tables, and every address that a browser could want to open."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.headings: list[str] = []
        self.rows: list[list[str]] = []
        self.addresses: list[str] = []
        self.names: list[str] = []
        self._open = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._open = tag
        found = dict(attrs)
        self.addresses += [found[key] or "" for key in ("src", "href") if key in found]
        if tag == "tr":
            self.rows.append([])
        if tag == "path" and found.get("data-name"):
            self.names.append(found["data-name"] or "")

    def handle_endtag(self, tag: str) -> None:
        self._open = ""

    def handle_data(self, data: str) -> None:
        if self._open in ("h1", "h2", "figcaption"):
            self.headings.append(data)
        if self._open in ("td", "button"):
            self.rows[-1].append(data)


@pytest.fixture(scope="module")
def run_dir(corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run with matrices, signals and constraints."""
    folder = tmp_path_factory.mktemp("report") / "first"
    config = configuration(
        corpus,
        folder,
        policy=POLICY,
        constraints=[{"share": {"of": "en", "maximum": 0.3}}],
        trainer__log_every_n_steps=1,
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        return run_here(config)


@pytest.fixture
def copied(run_dir: Path, tmp_path: Path) -> Path:
    """The run's folder, to be damaged."""
    return Path(shutil.copytree(run_dir, tmp_path / "first"))


def damaged_summary(folder: Path, **changes: Any) -> None:
    path = folder / "summary.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def row_of(read: Page, first: str) -> list[str]:
    return next(row for row in read.rows if row and row[0] == first)


def test_the_page_tells_what_the_run_came_to(run_dir: Path) -> None:
    html = page(read_run(run_dir))
    read, summary = Page(html), load_summary(run_dir)
    assert read.headings == [
        "first",
        "Mixture",
        "Weights",
        "Epochs",
        "Bits per byte",
        "Validation, bits per byte",
        "Training, bits per byte",
        "Languages",
        "Between languages",
        "transfer",
        "normalised_transfer",
        "Constraints",
        "What the policy proposed",
        "Prices",
        "Cost of signals",
        "Environment",
        "Configuration",
    ]
    losses = {name: entry["validation_bits_per_byte"] for name, entry in summary["domains"].items()}
    worst = max(losses, key=losses.__getitem__)
    assert f"<b>{sum(losses.values()) / 3:.4f}</b>" in html
    assert f"<b>{losses[worst]:.4f}</b><span>{worst}</span>" in html
    assert "<b>20 of 20</b><span>finished</span>" in html
    assert "Mixed by Aioli. Finished. " in " ".join(html.split())
    # Worst first, as the tile says.
    assert next(row for row in read.rows if row and row[0] in losses)[0] == worst
    cells = row_of(read, "sw")
    assert f"{summary['domains']['sw']['tokens']:,.0f}" in cells
    assert f"{losses['sw']:.4f}" in cells
    assert row_of(read, "Share(of=en, maximum=0.3)")[1].endswith(" of 20")
    assert row_of(read, "validation_loss")[1] == str(
        summary["signals"]["validation_loss"]["measurements"]
    )
    assert "above training, for signals" in html
    assert "interval_steps: 1" in html
    assert summary["environment"]["machine"] in html


def test_the_page_needs_nothing_else(run_dir: Path) -> None:
    html = page(read_run(run_dir))
    assert Page(html).addresses == []
    assert "default-src &#39;none&#39;" in html or "default-src 'none'" in html
    assert not re.search(r"@import|url\(|<link|fetch\(", html)


def test_the_summary_has_the_policys_matrices_and_what_it_ran_on(run_dir: Path) -> None:
    summary = load_summary(run_dir)
    for matrix in summary["matrices"].values():
        assert [len(row) for row in matrix] == [3, 3, 3]
    assert any(entry for row in summary["matrices"]["transfer"] for entry in row)
    assert summary["environment"]["devices"] == "1 x cpu"
    assert {"python", "torch", "commit", "system"} <= set(summary["environment"])
    titles = re.findall(r"<title>(\w+) evaluated, (\w+) trained on: ", page(read_run(run_dir)))
    assert titles[:9] == [
        (row, column) for row in summary["domains"] for column in summary["domains"]
    ]


def test_a_run_that_died_before_its_first_validation(copied: Path) -> None:
    (copied / "summary.json").unlink()
    events = next(copied.glob("events.*"))
    content = events.read_bytes()
    # In the middle of an entry, as a killed process leaves it.
    events.write_bytes(content[: content.index(b"validation/bits_per_byte/en") + 5])
    run = read_run(copied)
    assert (run.policy, run.step, run.max_steps, run.finished) == ("Aioli", 10, 20, False)
    assert set(run.domains) == {"en", "de", "sw"}
    assert run.tokens == 10 * 8 * 32
    assert sum(row["mean_weight"] or 0.0 for row in run.domains.values()) == pytest.approx(1)
    html = page(run)
    assert "10 of 20</b><span>not finished" in html
    assert "no validation yet" in html
    assert "Not finished: it is still running or was interrupted." in html
    assert row_of(Page(html), "validation_loss")[1] == "-"


def test_a_run_that_died_between_validations(copied: Path) -> None:
    stale = load_summary(copied)
    for row in stale["domains"].values():
        row["tokens"] = 1.0
    damaged_summary(copied, step=10, finished=False, domains=stale["domains"])
    run = read_run(copied)
    assert run.step == 20
    assert run.tokens == 20 * 8 * 32
    # What was never written anywhere else stays.
    assert run.domains["en"]["validation_standard_error"] is not None


def test_a_run_that_just_started(copied: Path) -> None:
    (copied / "summary.json").unlink()
    events = next(copied.glob("events.*"))
    events.write_bytes(b"")
    run = read_run(copied)
    assert (run.step, run.domains) == (0, {})
    assert "Nothing was recorded." in page(run)


def test_a_run_without_tensorboard(copied: Path) -> None:
    next(copied.glob("events.*")).unlink()
    (copied / "config.yaml").unlink()
    run = read_run(copied)
    read = Page(page(run))
    assert run.finished
    assert "sw" in [row[0] for row in read.rows if row]
    assert "Configuration" not in read.headings


def test_test_losses_stand_in_the_table(copied: Path) -> None:
    rows = {name: {"bits_per_byte": 7.5} for name in ("en", "de", "sw")}
    (copied / "test.json").write_text(json.dumps({"split": "test", "domains": rows}))
    assert "7.5000" in row_of(Page(page(read_run(copied))), "de")


def test_the_command_writes_the_page(
    copied: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert "\n  report " in cli.usage()
    monkeypatch.setattr(sys, "argv", ["glotmix", "report", str(copied)])
    cli.main()
    assert capsys.readouterr().out == f"wrote {copied / 'report.html'}\n"
    assert "<h1>first</h1>" in (copied / "report.html").read_text(encoding="utf-8")


def test_what_is_no_run_is_refused_in_one_line(run_dir: Path, tmp_path: Path) -> None:
    for folder, message in (
        (tmp_path, "holds neither summary.json nor a TensorBoard file"),
        (tmp_path / "absent", "which is none"),
    ):
        with pytest.raises(ValueError, match=message) as caught:
            report(folder)
        assert "\n" not in str(caught.value)
    with pytest.raises(ValueError, match="out must be a file that can be written to"):
        report(run_dir, tmp_path)


def test_names_cannot_become_html() -> None:
    run = made_up(2)
    names = {name: f"<b onclick='x'>{name}</b>&" for name in run.domains}
    run = replace(
        run,
        name="<script>alert(1)</script>",
        domains={names[name]: row for name, row in run.domains.items()},
        curves={
            group: curves._replace(names=tuple(names[name] for name in curves.names))
            for group, curves in run.curves.items()
        },
        matrices={"<i>": [[1.0, 0.5], [None, 1.0]]},
        configuration="</pre><script>",
    )
    html = page(run)
    assert "<b onclick" not in html
    assert "<i>" not in html
    assert html.count("<script>") == 1
    assert names["l000_Latn"] in Page(html).names
