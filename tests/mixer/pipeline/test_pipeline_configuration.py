import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from texts import write_texts

pytest.importorskip("datatrove", reason="the extra `prepare` is not installed")

from pipelines import configured, run

from mixer.pipeline.configuration import Configuration

ROOT = Path(__file__).parents[3]
LAMBDA = "datatrove.pipeline.filters.LambdaFilter"


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return write_texts(tmp_path / "text", {"de/train.jsonl": ["eins"]})


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"reader": None}, "reader must be the path of a class, or class_path and init_args, got"),
        ({"steps": ["nowhere.Filter"]}, "steps[0] of de/train: class_path must name something"),
        ({"steps": ["keepers.Missing"]}, "class_path must name something that can be imported"),
        ({"steps": ["keepers.Judge"]}, "steps[0] of de/train: keepers.Judge cannot be made"),
        ({"steps": [{"class_path": "keepers.Judge", "args": {}}]}, "got ['args']; what"),
        ({"steps": [{"class_path": LAMBDA, "init_args": 3}]}, "init_args must be a mapping, got 3"),
        ({"steps": "keepers.Judge"}, "steps must be a list, got 'keepers.Judge'"),
        ({"splits": ["dev"]}, "splits must be some of train, validation, test, got ['dev']"),
        ({"domains": ["de", False]}, "domains must be a list of names, got ['de', False]; put"),
        ({"domains": ["de", "de"]}, "domains must name everything once"),
        ({"domains": ["../de"]}, "a domain's name must be letters"),
        ({"domains": {"de": {"split": 1}}}, "domains.de has no ['split']; it has reader, steps"),
        ({"domains": "/nowhere/*"}, "domains: no folder is matched by '/nowhere/*'"),
        ({"tokenizer": "bpe:300"}, "tokenizer must be 'byte' or the path of a tokenizer.json"),
        ({"tokenizer": "/nowhere"}, "which does not exist"),
        ({"tasks": 0}, "tasks must be a number of at least 1, got 0"),
        ({"max_bad_fraction": 2}, "max_bad_fraction must be from 0 to 1, got 2"),
        ({"deduplicate": True}, "deduplicate must say exact: true, minhash: true, or both"),
        ({"deduplicate": {"minhash": {"n_grams": 0}}}, "minhash.n_grams must be at least 1, got 0"),
        ({"deduplicate": {"minhash": {"bands": 2}}}, "must be true or a mapping of n_grams"),
        ({"filters": []}, "a pipeline has no ['filters']; it has domains, splits"),
        (
            {"executor": {"class_path": "inline_executor.Inline", "init_args": {"tasks": 3}}},
            "executor.init_args must not have tasks, which the pipeline sets",
        ),
        (
            {"reader": {"class_path": "datatrove.pipeline.readers.JsonlReader"}},
            "the reader of de/train: datatrove.pipeline.readers.JsonlReader cannot be made",
        ),
    ],
)
def test_configurations_that_cannot_be(
    tmp_path: Path, source: Path, settings: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        run(tmp_path, source, tmp_path / "out", **settings)
    assert not (tmp_path / "out/mixture.json").exists()


@pytest.mark.parametrize(
    ("content", "message"),
    [("a: [", "is not YAML"), ("[]", "a pipeline must be a mapping of domains"), ("", "mapping")],
)
def test_files_that_are_no_configuration(tmp_path: Path, content: str, message: str) -> None:
    path = tmp_path / "pipeline.yaml"
    with pytest.raises(ValueError, match="does not exist; name the YAML file of a pipeline"):
        Configuration.load(path)
    path.write_text(content)
    with pytest.raises(ValueError, match=message):
        Configuration.load(path)


def test_nothing_is_executed_that_is_not_named(tmp_path: Path, source: Path) -> None:
    path = configured(tmp_path, source)
    path.write_text(path.read_text()[:-1] + ', "tokenizer": !!python/object/apply:os.getcwd []}')
    with pytest.raises(ValueError, match="is not YAML"):
        Configuration.load(path)


def test_the_example_is_a_configuration(
    tmp_path: Path, source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data/phpdoc-text").symlink_to(source)
    monkeypatch.chdir(tmp_path)
    example = Configuration.load(ROOT / "configs/pipeline-phpdoc.yaml")
    assert [lane.label for lane in example.lanes] == ["de/train", "de/validation", "de/test"]
    assert example.deduplication.minhash is not None


def blocks_of_the_page() -> list[str]:
    page = (ROOT / "docs/pipeline.md").read_text()
    return re.findall(r"^```yaml\n(.*?)^```", page, flags=re.DOTALL | re.MULTILINE)


@pytest.mark.parametrize("block", blocks_of_the_page())
def test_the_page_shows_what_can_be_said(source: Path, block: str) -> None:
    said = yaml.safe_load(block)
    needed = {"domains": ["de"], "reader": "mixer.pipeline.text_reader.TextReader"}
    Configuration.of(
        needed | said | ({"domains": ["de"]} if "/" in said.get("domains", "") else {})
    )
