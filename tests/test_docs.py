"""What the README and the pages in docs/ refer to exists."""

from __future__ import annotations

import pkgutil
import re
import tomllib
from pathlib import Path
from typing import Literal, get_args, get_origin, get_type_hints

import pytest
from every_policy import every_policy

from policies.policy import Policy
from policies.registry import BUILT_IN
from policies.signals import Signal
from policies.synthetic import make_task

ROOT = Path(__file__).parent.parent
README, RULES = ROOT / "README.md", ROOT / "docs" / "policies.md"
PAGES = [README, *sorted((ROOT / "docs").glob("*.md"))]
BY_NAME = {policy.__name__: policy for policy in BUILT_IN}


def without_code(text: str) -> str:
    return re.sub(r"^```.*?^```", "", text, flags=re.DOTALL | re.MULTILINE)


def anchors(text: str) -> set[str]:
    """Where links into a page may lead: its headings as GitHub spells them."""
    headings = re.findall(r"^#+ (.+)$", without_code(text), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def broken_links(page: Path) -> list[str]:
    """Links of a page to files that are missing, or to headings that a page does not have."""
    broken = []
    for link in re.findall(r"\]\(([^)\s]+)\)", without_code(page.read_text())):
        if "://" in link:
            continue
        path, _, anchor = link.partition("#")
        target = page.parent / path if path else page
        if not target.exists() or (anchor and anchor not in anchors(target.read_text())):
            broken.append(link)
    return broken


def quoted(cell: str) -> list[str]:
    return re.findall(r"`([^`]+)`", cell)


def table(page: Path, column: str) -> list[dict[str, str]]:
    """The rows, by column, of the one table of a page that has a column of this name."""
    blocks = re.findall(r"(?:^\|.*\|\n)+", without_code(page.read_text()), re.MULTILINE)
    tables = [
        [[cell.strip() for cell in line.strip("|").split("|")] for line in block.splitlines()]
        for block in blocks
    ]
    ((head, _, *rows),) = [lines for lines in tables if column in lines[0]]
    return [dict(zip(head, row, strict=True)) for row in rows]


def options(policy: type[Policy]) -> set[str]:
    """Names of a policy's settings, and the words that they can be set to."""
    hints = get_type_hints(policy)
    words = {
        word for hint in hints.values() if get_origin(hint) is Literal for word in get_args(hint)
    }
    return set(hints) | words


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    assert not broken_links(page)


def test_broken_links_are_found(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(
        "# A page: `code`, and more\n[a](page.md#a-page-code-and-more) [b](#no-such) [c](gone.md)\n"
        "![d](gone.png) [e](https://example.org/gone.md)\n```\n# comment\n[f](gone.py)\n```\n"
        "[g](#comment)\n"
    )
    assert broken_links(page) == ["#no-such", "gone.md", "gone.png", "#comment"]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_names_of_python_exist(page: Path) -> None:
    for name in re.findall(r"`((?:policies|mixer)(?:\.\w+)+)", without_code(page.read_text())):
        pkgutil.resolve_name(name)


@pytest.mark.parametrize(("page", "column"), [(README, "policies"), (RULES, "rule")])
def test_tables_name_every_policy_once(page: Path, column: str) -> None:
    names = [name for row in table(page, column) for name in quoted(row[column])]
    assert sorted(names) == sorted(BY_NAME)


def test_signals_of_the_table_exist() -> None:
    names = [name for row in table(RULES, "signal") for name in quoted(row["signal"])]
    assert sorted(names) == sorted(Signal)


def test_rules_ask_for_the_signals_of_the_table(tmp_path: Path) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    specimens = every_policy(make_task(4, total_steps=100), tmp_path)
    above: set[str] = set()
    for row in table(RULES, "rule"):
        cell = row["signals, by default"]
        signals = set(quoted(cell)) - set(project["optional-dependencies"])
        above = above if cell.startswith("the same") else signals
        for name in quoted(row["rule"]):
            assert specimens[name].signals == above, name


def test_options_of_the_table_exist() -> None:
    for row in table(RULES, "rule"):
        for name in quoted(row["rule"]):
            assert set(quoted(row["variants"])) <= options(BY_NAME[name]), name


def test_tests_of_the_table_exist() -> None:
    files = [
        name for row in table(RULES, "rule") for name in quoted(row["checked in `tests/policies/`"])
    ]
    files = [name for name in files if name.endswith((".py", "/"))]
    assert len(files) >= len(table(RULES, "rule")) / 2
    for name in files:
        assert (ROOT / "tests" / "policies" / name).exists(), name
