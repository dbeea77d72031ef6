"""Ten policies on thirteen languages of the PHP manual: three seeds, equal cost, one table.

    python benchmarks/compare_phpdoc.py FOLDER_OF_TEXT

Thins the text, prepares it, and goes on with the comparison where it stopped; some two hours on two
cores. Writes ``benchmarks/results/compare_phpdoc.md``; what is said there under "Reading" stays.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

from environment import describe

from trainer.summary import FILE_NAME, load_summary

HERE = Path(__file__).parent
RESULTS = HERE / "results" / "compare_phpdoc.md"
CONFIG = "configs/compare-phpdoc.yaml"
READING = "## Reading\n"


def run(*words: str) -> None:
    """Run a command to its end.

    Raises:
        subprocess.CalledProcessError: It failed.
    """
    subprocess.run([sys.executable, *words], check=True)


def where_trained(out: Path) -> str:
    """What the runs say of the commit and the machine that they were trained at."""
    places = {
        " on ".join(load_summary(path.parent)["environment"][key] for key in ("commit", "machine"))
        for path in out.glob(f"*/seed-*/{FILE_NAME}")
    }
    return "; ".join(sorted(places))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("source", type=Path)
    parser.add_argument("--out", type=Path, default=Path("runs/compare-phpdoc"))
    options = parser.parse_args()
    text = "data/phpdoc-thin-text"
    run(str(HERE / "thin_corpus.py"), str(options.source), text, "--every", "8")
    run("-m", "trainer.cli", "prepare", text, "--out", "data/phpdoc-thin", "--tokenizer", "byte")
    run("-m", "trainer.cli", "compare", "--config", CONFIG, "--out", str(options.out))
    reading = RESULTS.read_text().partition(READING)[2] if RESULTS.exists() else ""
    RESULTS.write_text(
        f"# Ten policies on thirteen languages of the PHP manual\n\n{describe()}"
        f"- runs trained at: {where_trained(options.out)}\n"
        f"- configuration: `{CONFIG}`\n\n{(options.out / 'table.md').read_text()}\n"
        f"{READING}{reading}"
    )
    print(f"{RESULTS} written")


if __name__ == "__main__":
    main()
