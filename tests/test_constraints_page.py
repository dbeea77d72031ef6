"""What docs/constraints.md shows works."""

import re
from pathlib import Path

import numpy as np
import yaml

from policies.allocation import Scope
from policies.synthetic import make_task
from trainer.written_constraints import read_constraints

PAGE = (Path(__file__).parent.parent / "docs/constraints.md").read_text()


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)


def test_the_configuration_is_understood() -> None:
    (text,) = blocks("yaml")
    document = yaml.safe_load(text)
    constraints = read_constraints(document["constraints"])
    assert len(constraints) == len(document["constraints"])
    names = ("english", "cs", "pl", "uk", "ru", "de", "fr", "it", "ro", "licensed")
    task = make_task(len(names))
    named = type(task)(**{**task.__dict__, "names": names})
    scope = Scope(named, document["groups"])
    rows = [row for one in constraints for row in (*one.each_step(scope), *one.whole_run(scope))]
    assert len(rows) > len(names)


def test_the_example_gives_what_was_asked_for() -> None:
    (code,) = blocks("python")
    found: dict[str, object] = {}
    exec(code, found)
    np.testing.assert_allclose(found["found"].weights, [0.9, 0.05, 0.05], atol=1e-6)
