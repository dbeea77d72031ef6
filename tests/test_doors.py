"""Which package may import which: so that each can be used, and tested, without the others."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
LIGHTNING = {"lightning", "pytorch_lightning", "lightning_fabric"}
STANDARD = sys.stdlib_module_names


def imported(source: str) -> Iterator[str]:
    """Top-level names of all modules that a source text imports, wherever in the text."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module.split(".")[0]
        elif isinstance(node, ast.Call) and node.args:
            called = node.func.attr if isinstance(node.func, ast.Attribute) else None
            called = node.func.id if isinstance(node.func, ast.Name) else called
            first = node.args[0]
            if called in ("import_module", "__import__") and isinstance(first, ast.Constant):
                yield str(first.value).split(".")[0]


# The one file that may use what only some installations have.
OPTIONAL = {"policies/surrogate.py": {"lightgbm", "sklearn"}}


def offences(package: str, source: str, path: str = "") -> set[str]:
    """What a source text of a package imports against the rules."""
    found = set(imported(source)) - OPTIONAL.get(path, set())
    if package == "policies":
        return found - STANDARD - {"policies", "numpy", "scipy", "cvxpy"}
    if package == "mixer":
        return found & ({"policies", "trainer"} | LIGHTNING)
    raise ValueError(f"there is no rule for {package}")


@pytest.mark.parametrize("package", ["policies", "mixer"])
def test_doors_are_kept(package: str) -> None:
    files = sorted((ROOT / package).rglob("*.py"))
    assert files
    paths = {file.relative_to(ROOT).as_posix(): file.read_text() for file in files}
    found = {path: offences(package, text, path) for path, text in paths.items()}
    assert not {path: names for path, names in found.items() if names}


@pytest.mark.parametrize(
    ("package", "source", "offence"),
    [
        ("policies", "import torch", "torch"),
        ("policies", "from torch.nn import functional", "torch"),
        ("policies", "import lightgbm", "lightgbm"),
        ("policies", "def f():\n    import lightning.pytorch as pl", "lightning"),
        ("policies", "from mixer.indexed import IndexedDataset", "mixer"),
        ("policies", "import os, trainer", "trainer"),
        ("policies", "import importlib\nimportlib.import_module('trainer.cli')", "trainer"),
        ("policies", "__import__('torch')", "torch"),
        ("mixer", "from policies import Policy", "policies"),
        ("mixer", "if True:\n    import trainer.cli", "trainer"),
        ("mixer", "import pytorch_lightning", "pytorch_lightning"),
        ("mixer", "from lightning import LightningDataModule", "lightning"),
    ],
)
def test_each_rule_can_fail(package: str, source: str, offence: str) -> None:
    assert offences(package, source) == {offence}


@pytest.mark.parametrize(
    ("package", "source"),
    [
        ("policies", "import numpy as np\nfrom scipy.optimize import brentq\nimport cvxpy, json"),
        ("policies", "from policies.policy import Policy\nfrom . import simplex"),
        ("mixer", "import torch\nfrom mixer.indexed import IndexedDataset"),
    ],
)
def test_what_is_allowed_passes(package: str, source: str) -> None:
    assert not offences(package, source)


def test_policies_load_without_torch() -> None:
    """Nor does anything that policies import import it in turn."""
    script = (
        "import sys, policies, policies.contract\n"
        "policies.load_policies()\n"
        "heavy = {'torch', 'lightning', 'mixer', 'trainer'} & set(sys.modules)\n"
        "heavy |= {'cvxpy', 'scipy', 'sklearn', 'lightgbm'} & set(sys.modules)\n"
        "sys.exit(' '.join(sorted(heavy)) or 0)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
