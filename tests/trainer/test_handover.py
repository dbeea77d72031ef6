import json
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import yaml
from corpora import write_corpus
from exported_runs import export, exported, written_run
from small_runs import configuration, run_here

from mixer.manifest import Manifest
from policies import Fixed
from trainer.handover_forms import FORMS
from trainer.learned_mixture import Stages, averaged, summing_to_one

EARLY = {"en": 0.5, "de": 0.5}
LATE = {"en": 0.2, "de": 0.8}
NORWAY = {"no": 0.1, "c++": 0.3, "zh-Hant": 0.6}


@pytest.fixture(scope="module")
def run_dir(corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that changes its mixture after half of its six steps."""
    weights = {0: EARLY, 3: LATE}
    return run_here(
        configuration(
            corpus,
            tmp_path_factory.mktemp("runs") / "run",
            policy={"class_path": "policies.Fixed", "init_args": {"weights": weights}},
            trainer__max_steps=6,
            trainer__val_check_interval=6,
            trainer__log_every_n_steps=1,
        )
    )


@pytest.fixture(scope="module")
def norwegian(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run over domains whose names mean something else to YAML, in a folder with a space."""
    folder = tmp_path_factory.mktemp("a b")
    corpus = write_corpus(folder / "corpus", dict.fromkeys(NORWAY, 3_000))
    return written_run(folder / "run", corpus, NORWAY)


def refusal(run: Path, line: str) -> str:
    with pytest.raises(SystemExit) as stop:
        export(line, run)
    message = str(stop.value.code)
    assert "\n" not in message
    return message


def test_a_schedule_has_the_steps_of_the_run(run_dir: Path, tmp_path: Path) -> None:
    document = json.loads(exported(tmp_path, run_dir, "--to json --mixture schedule"))
    # Logged in single precision.
    assert list(document["weights"]) == ["0", "3"]
    assert document["weights"]["0"] == pytest.approx(EARLY, abs=1e-7)
    assert document["weights"]["3"] == pytest.approx(LATE, abs=1e-7)
    assert document["tokens_per_step"] == 8 * 32
    # It can be played again.
    assert Fixed(weights={int(step): mixture for step, mixture in document["weights"].items()})


def test_mean_and_last_are_those_of_the_run(run_dir: Path, tmp_path: Path) -> None:
    for which, wanted in (("mean", {"en": 0.35, "de": 0.65}), ("last", LATE)):
        document = json.loads(exported(tmp_path, run_dir, f"--to json --mixture {which}"))
        assert document["weights"] == pytest.approx(wanted, abs=1e-12)
        assert document["from"]["mixture"] == which
        Fixed(weights=document["weights"])


def test_stages_average_the_schedule(run_dir: Path, tmp_path: Path) -> None:
    words = "--to nanotron --mixture schedule --stages"
    text = exported(tmp_path, run_dir, f"{words} 2")
    assert "&" not in text  # An anchor, by which YAML would write the folders only once.
    stages = yaml.safe_load(text)["data_stages"]
    assert [stage["start_training_step"] for stage in stages] == [1, 4]
    assert len({stage["name"] for stage in stages}) == 2
    data = [stage["data"]["dataset"] for stage in stages]
    assert np.allclose([one["dataset_weights"] for one in data], [[0.5, 0.5], [0.2, 0.8]])
    (stage,) = yaml.safe_load(exported(tmp_path, run_dir, f"{words} 1"))["data_stages"]
    assert stage["data"]["dataset"]["dataset_weights"] == pytest.approx([0.35, 0.65], abs=1e-6)


def test_stretches_are_means_over_steps() -> None:
    generator = np.random.default_rng(0)
    steps = np.array([0, 3, 4, 11, 17])
    weights = generator.dirichlet(np.ones(3), size=5)
    each_step = weights[steps.searchsorted(np.arange(20), side="right") - 1]
    for count in (1, 3, 7, 20):
        stretches = averaged(Stages(steps, weights), 20, count)
        bounds = [*stretches.steps, 20]
        means = [each_step[start:end].mean(axis=0) for start, end in pairwise(bounds)]
        assert np.allclose(stretches.weights, means, atol=1e-14)


def test_weights_sum_to_one_as_they_are_written() -> None:
    generator = np.random.default_rng(0)
    weights = generator.dirichlet(np.full(2000, 0.05), size=3)
    rounded = summing_to_one(weights)
    assert np.abs(rounded - weights).max() < 1e-12
    for row in rounded.tolist():
        assert sum(map(Fraction, map(repr, row))) == 1
        assert sum(row) == pytest.approx(1, abs=1e-14)
    clean = np.array([[0.7, 0.1, 0.1, 0.1], [0.35, 0.65, 0, 0]])
    assert summing_to_one(clean / clean.sum(axis=1, keepdims=True)).tolist() == clean.tolist()


def test_domains_without_weight_are_left_out(
    run_dir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    capsys.readouterr()
    export("--to megatron", run_dir)
    output, notes = capsys.readouterr()
    assert "left out, without weight: sw" in notes
    assert "/sw/" not in output
    assert len(output.splitlines()) == 2


def test_a_run_under_way_is_noted(norwegian: Path, capsys: pytest.CaptureFixture[str]) -> None:
    export("--to json", norwegian)
    assert "is at step 90 of 100" in capsys.readouterr().err


def test_megatron_reads_pairs(run_dir: Path, corpus: Path, tmp_path: Path) -> None:
    words = exported(tmp_path, run_dir, "--to megatron --mixture last").split()
    assert words[1::2] == [f"{corpus}/en/train", f"{corpus}/de/train"]
    assert words[::2] == ["0.2", "0.8"]
    splits = json.loads(exported(tmp_path, run_dir, "--to megatron-splits --mixture last"))
    assert splits["train"] == words
    assert splits["valid"] == ["1.0", f"{corpus}/en/validation", "1.0", f"{corpus}/de/validation"]


def test_splits_that_no_domain_has_are_null(corpus: Path, tmp_path: Path) -> None:
    folder = tmp_path / "corpus"
    folder.mkdir()
    whole = Manifest.load(corpus)
    domains = {name: {"train": splits["train"]} for name, splits in whole.domains.items()}
    domains["de"]["test"] = whole.domains["de"]["test"]
    Manifest(tokenizer="byte", vocab_size=257, end_of_document=256, domains=domains).save(folder)
    run = written_run(tmp_path / "run", folder, {"de": 0.5, "en": 0.25, "sw": 0.25})
    splits = json.loads(exported(tmp_path, run, "--to megatron-splits"))
    assert splits["valid"] is None
    assert splits["test"] == ["1.0", f"{folder}/de/test"]


def test_names_and_paths_survive(norwegian: Path, tmp_path: Path) -> None:
    corpus = norwegian.with_name("corpus")
    places = [f"{corpus}/{name}/train" for name in NORWAY]
    streams = yaml.safe_load(exported(tmp_path, norwegian, "--to mosaic"))["streams"]
    assert {name: stream["proportion"] for name, stream in streams.items()} == pytest.approx(NORWAY)
    assert [stream["local"] for stream in streams.values()] == places
    sources = yaml.safe_load(exported(tmp_path, norwegian, "--to olmo"))["sources"]
    assert [source["source_name"] for source in sources] == list(NORWAY)
    assert [source["paths"] for source in sources] == [[f"{place}.bin"] for place in places]
    (stage,) = yaml.safe_load(exported(tmp_path, norwegian, "--to nanotron"))["data_stages"]
    assert stage["data"]["dataset"]["dataset_folder"] == places
    splits = json.loads(exported(tmp_path, norwegian, "--to megatron-splits"))
    assert splits["train"][1::2] == places
    assert "no white space" in refusal(norwegian, "--to megatron")


def test_repetition_is_allowed_as_far_as_the_run_repeated(norwegian: Path, tmp_path: Path) -> None:
    sources = yaml.safe_load(exported(tmp_path, norwegian, "--to olmo"))["sources"]
    domains = Manifest.load(norwegian.with_name("corpus")).domains
    for source in sources:
        wanted = source["target_ratio"] * 100 * 256
        there = domains[source["source_name"]]["train"].tokens
        assert there * source["max_repetition_ratio"] >= wanted
        assert source["max_repetition_ratio"] <= max(1.0, wanted / there + 0.01)
    assert sources[0]["max_repetition_ratio"] == 1.0
    assert sources[2]["max_repetition_ratio"] > 4


def test_shares_of_documents_give_the_shares_of_tokens(corpus: Path, tmp_path: Path) -> None:
    wanted = {"de": 0.5, "en": 0.25, "sw": 0.25}
    run = written_run(tmp_path / "run", corpus, wanted)
    domains = Manifest.load(corpus).domains
    for form, key in (("litdata", "weights"), ("huggingface", "probabilities")):
        document = json.loads(exported(tmp_path, run, f"--to {form} --rows documents"))
        shares = dict(zip(document["domains"], document[key], strict=True))
        assert sum(Fraction(repr(share)) for share in shares.values()) == 1
        assert document["shares_of"] == "documents"
        lengths = {
            name: entries["train"].tokens / entries["train"].documents
            for name, entries in domains.items()
        }
        tokens = {name: share * lengths[name] for name, share in shares.items()}
        total = sum(tokens.values())
        assert {name: part / total for name, part in tokens.items()} == pytest.approx(wanted)
        assert shares != pytest.approx(wanted, abs=1e-4)


def test_every_form_gives_its_weights(run_dir: Path, tmp_path: Path) -> None:
    for name in FORMS:
        text = exported(tmp_path, run_dir, f"--to {name} --mixture last")
        assert "0.2" in text, name
        assert "0.8" in text, name


def test_a_corpus_that_moved_can_be_named(run_dir: Path, corpus: Path, tmp_path: Path) -> None:
    moved = tmp_path / "moved"
    moved.symlink_to(corpus)
    text = exported(tmp_path, run_dir, f"--to megatron --corpus {moved}")
    assert f"{moved}/en/train" in text
    message = refusal(run_dir, f"--to megatron --corpus {tmp_path}")
    assert message.startswith(f"glotmix export: the corpus of {run_dir} must lie in {tmp_path}")


def test_refusals_say_the_way_out(run_dir: Path, tmp_path: Path) -> None:
    assert "to must be one of megatron," in refusal(run_dir, "--to nemo")
    assert "mixture must be one of mean, last, schedule" in refusal(
        run_dir, "--to json --mixture best"
    )
    assert "rows must be one of sequences, documents" in refusal(run_dir, "--to json --rows x")
    for name in sorted(set(FORMS) - {"json", "nanotron"}):
        message = refusal(run_dir, f"--to {name} --mixture schedule")
        assert "ask for --mixture mean or last, or for one of nanotron, json" in message
    assert "leave --rows documents away" in refusal(run_dir, "--to olmo --rows documents")
    assert "stages are those of --mixture schedule" in refusal(run_dir, "--to json --stages 2")
    words = "--to json --mixture schedule --stages"
    assert "from 1 to the 6 steps of the run, got 7" in refusal(run_dir, f"{words} 7")
    assert "got 0" in refusal(run_dir, f"{words} 0")
    assert "holds no summary.json" in refusal(tmp_path, "--to json")


def test_broken_runs_are_refused(corpus: Path, tmp_path: Path) -> None:
    run = written_run(tmp_path / "none", corpus, {"en": None, "de": 1.0})
    assert "mean_weight in the summary" in refusal(run, "--to json")
    run = written_run(tmp_path / "quiet", corpus, {"en": 0.5, "de": 0.5})
    assert "has no logged mixtures" in refusal(run, "--to json --mixture schedule")
    (run / "config.yaml").write_text("data: [")
    assert "config.yaml must be the configuration of a run" in refusal(run, "--to json")
    run = written_run(tmp_path / "other", corpus, {"en": 0.5, "fr": 0.5})
    assert "domains ['fr'] are not in" in refusal(run, "--to json")


def test_a_file_that_cannot_be_written_is_named(run_dir: Path) -> None:
    assert "out must be a file that can be written" in refusal(run_dir, "--to json --out /proc/x/y")
