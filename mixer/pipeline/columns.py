"""Scores of documents taken from their metadata: qualities, sizes of clusters."""

from __future__ import annotations

import os
from array import array
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mixer.indexed import partial_path
from mixer.sampling.scores import scores_path


class Columns:
    """Takes the numbers of one document after the other.

    Args:
        names: Their keys in the documents' metadata.
    """

    def __init__(self, names: Sequence[str]) -> None:
        self._values = {name: array("f") for name in names}

    def add(self, metadata: Mapping[str, Any]) -> None:
        """Take a document's numbers; one that is not there is NaN.

        Raises:
            ValueError: What is there is no number.
        """
        for name, values in self._values.items():
            value = metadata.get(name)
            try:
                values.append(float("nan") if value is None else float(value))
            except (TypeError, ValueError) as error:
                raise ValueError(
                    f"column {name} must hold numbers, a document has {value!r}; leave it out of "
                    "columns or give it a number by a step"
                ) from error

    def save(self, prefix: Path) -> None:
        for name, values in self._values.items():
            save_column(scores_path(prefix, name), [np.frombuffer(values, dtype=np.float32)])


def save_column(path: Path, parts: Sequence[NDArray[np.float32]]) -> None:
    """Write a column in one step.

    Args:
        path: The file.
        parts: Its values, in order.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = partial_path(path)
    with partial.open("wb") as file:
        np.save(file, np.concatenate(parts))
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)
