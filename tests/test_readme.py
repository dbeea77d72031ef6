"""What the README shows works."""

import re
import sys
import types
from pathlib import Path

import yaml

from policies.contract import check_policy
from trainer.cli import usage
from trainer.written_constraints import read_constraints

README = Path(__file__).parent.parent / "README.md"


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README.read_text(), re.DOTALL)


def test_the_policy_of_the_readme_keeps_the_contract() -> None:
    (code,) = blocks("python")
    module = types.ModuleType("readme_policies")
    sys.modules[module.__name__] = module
    try:
        exec(code, module.__dict__)
        check_policy(module.Neediest())
    finally:
        del sys.modules[module.__name__]


def test_commands_of_the_readme_exist() -> None:
    used = set(re.findall(r"^(?:PYTHONPATH=\. )?glotmix (\w+)", "\n".join(blocks("bash")), re.M))
    assert used >= {"prepare", "fit", "show", "test"}
    known = usage()
    assert all(f"\n  {command}" in known for command in used)


def test_the_configuration_of_the_readme_is_yaml() -> None:
    run, bounds = (yaml.safe_load(text) for text in blocks("yaml"))
    assert set(run) <= {"policy", "data", "trainer"}
    assert len(read_constraints(bounds["constraints"])) == 3
