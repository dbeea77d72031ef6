"""Every notebook runs from its first cell to its last, and shows what it is about."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path

import nbformat
import pytest
from nbclient.exceptions import CellExecutionError
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell, new_notebook
from notebook_kernel import Kernel

ROOT = Path(__file__).parents[2]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
LARGEST, LARGEST_PICTURE = 400_000, 60_000
SHOWN = ("image/png", "text/html", "text/markdown")


def outputs(notebook: NotebookNode) -> Iterator[NotebookNode]:
    for cell in notebook.cells:
        yield from cell.get("outputs", ())


def shown(notebook: NotebookNode) -> list[str]:
    """The pictures and tables among the outputs."""
    found = []
    for output in outputs(notebook):
        data = output.get("data", {})
        found += [data[kind] for kind in SHOWN if kind in data][:1]
    return found


def written(notebook: NotebookNode) -> str:
    """All text among the outputs."""
    texts = []
    for output in outputs(notebook):
        texts.append(output.get("text", ""))
        texts += [text for kind, text in output.get("data", {}).items() if "text/" in kind]
    return "\n".join(texts)


def complaints(notebook: NotebookNode) -> list[str]:
    """Warnings, and tracebacks of what was gone past, on the standard error."""
    texts = [output.text for output in outputs(notebook) if output.get("name") == "stderr"]
    return re.findall(r"^.*(?:Warning|Traceback).*$", "".join(texts), re.MULTILINE)


def test_there_are_notebooks_and_their_table_names_them_all() -> None:
    table = (ROOT / "notebooks" / "README.md").read_text(encoding="utf-8")
    named = re.findall(r"^\| \[`(\w+)`\]\(\1\.ipynb\)", table, re.MULTILINE)
    assert sorted(named) == [path.stem for path in NOTEBOOKS] != []


@pytest.mark.slow
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebook_runs(path: Path, kernel: Kernel, tmp_path: Path) -> None:
    notebook = nbformat.read(path, as_version=4)
    for cell in notebook.cells:
        cell.pop("outputs", None)
    kernel.execute(notebook, tmp_path)
    assert len(shown(notebook)) >= 2
    assert not complaints(notebook)
    for own in (ROOT, tmp_path.parent, Path.home(), Path(sys.prefix)):
        assert str(own) not in written(notebook)


@pytest.mark.slow
def test_a_failing_cell_fails(kernel: Kernel, tmp_path: Path) -> None:
    with pytest.raises(CellExecutionError, match="no such thing"):
        kernel.execute(
            new_notebook(cells=[new_code_cell("raise KeyError('no such thing')")]), tmp_path
        )


@pytest.mark.slow
def test_notebooks_know_nothing_of_each_other(kernel: Kernel, tmp_path: Path) -> None:
    kernel.execute(new_notebook(cells=[new_code_cell("left_behind = 1")]), tmp_path)
    with pytest.raises(CellExecutionError, match="left_behind"):
        kernel.execute(new_notebook(cells=[new_code_cell("left_behind")]), tmp_path)


@pytest.mark.slow
def test_warnings_are_seen(kernel: Kernel, tmp_path: Path) -> None:
    cell = new_code_cell("import warnings\nwarnings.warn('careful', DeprecationWarning)")
    notebook = new_notebook(cells=[cell])
    kernel.execute(notebook, tmp_path)
    assert [line for line in complaints(notebook) if "careful" in line]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebook_is_committed_with_its_outputs_and_nothing_else(path: Path) -> None:
    assert path.stat().st_size < LARGEST
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    assert set(notebook.metadata) <= {"kernelspec", "language_info"}
    assert not any(cell.metadata for cell in notebook.cells)
    assert len(shown(notebook)) >= 2
    assert not complaints(notebook)
    drawn = [output.data.get("image/png", "") for output in outputs(notebook) if "data" in output]
    assert 0 < max(map(len, drawn)) < LARGEST_PICTURE * 4 / 3  # As base64.
    assert not re.search(r"(?<![\w.])/(?:home|root|tmp|work|Users)/", written(notebook))
