"""``glotmix report``: a run's page, written where the user wants it."""

from __future__ import annotations

from pathlib import Path

from trainer.report.page import page
from trainer.report.run_record import read_run

FILE_NAME = "report.html"


def report(run_dir: Path, out: Path | None = None) -> None:
    """Turn a run, finished or not, into one page that opens from disk.

    Args:
        run_dir: folder of the run
        out: file to write (default: report.html in the run's folder)

    Raises:
        ValueError: The folder holds no run, or the page cannot be written.
    """
    html = page(read_run(run_dir))
    out = run_dir / FILE_NAME if out is None else out
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_text(html, encoding="utf-8")
    except OSError as error:
        raise ValueError(f"out must be a file that can be written to: {error}") from error
    print(f"wrote {out}")
