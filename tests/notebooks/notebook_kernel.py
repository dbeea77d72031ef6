"""A kernel that executes one notebook after the other."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from nbclient import NotebookClient
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell, new_notebook

# Forgets what the notebook before left behind.
FORGET = "%matplotlib inline\nimport matplotlib.pyplot\nmatplotlib.pyplot.close('all')\n%reset -f"


class Kernel:
    """One process for all notebooks: what they import takes longer than what they do.

    Args:
        environment: Its environment variables.
    """

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._environment = dict(environment)
        self._client = NotebookClient(new_notebook(), timeout=300, kernel_name="python3")

    def execute(self, notebook: NotebookNode, folder: Path) -> None:
        """Fill in the outputs; the notebook sees the folder as the current one.

        Raises:
            CellExecutionError: A cell failed.
        """
        self._run(new_notebook(cells=[new_code_cell(f"{FORGET}\n%cd -q {folder}")]))
        self._run(notebook)

    def close(self) -> None:
        self._run(new_notebook(), last=True)

    def _run(self, notebook: NotebookNode, *, last: bool = False) -> None:
        self._client.nb = notebook
        self._client.execute(env=self._environment, cleanup_kc=last)
