"""Exports are read by the tools they are meant for, where these are installed."""

import itertools
import json
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import yaml
from corpora import write_corpus
from exported_runs import exported, written_run

# What other tools warn of while they are imported is theirs.
pytestmark = pytest.mark.filterwarnings("default")

WEIGHTS = {"de": 0.5, "en": 0.2, "no": 0.3}
WHY = "reads exports with the real tool; install {} to run it"


def tool(module: str, distribution: str) -> Any:
    return pytest.importorskip(module, reason=WHY.format(distribution))


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    return write_corpus(tmp_path / "corpus", dict.fromkeys(WEIGHTS, 8_000))


@pytest.fixture
def run_dir(corpus: Path, tmp_path: Path) -> Path:
    return written_run(tmp_path / "run", corpus, WEIGHTS)


def assert_shares(drawn: Iterable[int], exactly: bool = False) -> None:
    """Domain numbers that come as often as the weights say, to four standard errors or to one."""
    counts = Counter(int(number) for number in drawn)
    total = counts.total()
    assert total >= 500
    for number, weight in enumerate(WEIGHTS.values()):
        slack = 1.5 if exactly else 4 * (total * weight * (1 - weight)) ** 0.5
        assert abs(counts[number] - total * weight) <= slack, counts


def test_litdata_draws_by_the_weights(run_dir: Path, tmp_path: Path) -> None:
    litdata = tool("litdata", "litdata")
    from litdata.streaming import Cache, TokensLoader

    plan = json.loads(exported(tmp_path, run_dir, "--to litdata"))
    for number, folder in enumerate(plan["input_dirs"]):
        cache = Cache(folder, chunk_bytes="1MB", item_loader=TokensLoader(8))
        for row in range(1000):
            cache[row] = np.full(8, number)
        cache.done()
        cache.merge()
    rows = litdata.CombinedStreamingDataset(
        [
            litdata.StreamingDataset(folder, item_loader=TokensLoader(8))
            for folder in plan["input_dirs"]
        ],
        weights=plan["weights"],
        iterate_over_all=plan["iterate_over_all"],
    )
    assert_shares(row[0] for row in itertools.islice(rows, 1000))


def test_mosaic_draws_by_the_proportions(run_dir: Path, tmp_path: Path) -> None:
    streaming = tool("streaming", "mosaicml-streaming")
    streams = yaml.safe_load(exported(tmp_path, run_dir, "--to mosaic"))["streams"].values()
    for number, stream in enumerate(streams):
        with streaming.MDSWriter(out=stream["local"], columns={"domain": "int"}) as writer:
            for _ in range(100):
                writer.write({"domain": number})
    rows = streaming.StreamingDataset(
        streams=[streaming.Stream(**stream) for stream in streams],
        epoch_size=1000,
        batch_size=10,
        shuffle=True,
    )
    assert_shares((row["domain"] for row in rows), exactly=True)


def test_datasets_draws_by_the_probabilities(run_dir: Path, tmp_path: Path) -> None:
    datasets = tool("datasets", "datasets")
    plan = json.loads(exported(tmp_path, run_dir, "--to huggingface"))
    for number, folder in enumerate(plan["data_dirs"]):
        datasets.Dataset.from_dict({"domain": [number] * 400}).save_to_disk(folder)
    rows = datasets.interleave_datasets(
        [datasets.load_from_disk(folder) for folder in plan["data_dirs"]],
        probabilities=plan["probabilities"],
        stopping_strategy=plan["stopping_strategy"],
        seed=0,
    )
    assert_shares(rows["domain"])


class ByteTokens:
    """What Megatron's data sets ask of a tokenizer."""

    vocab_size, eod, pad = 257, 256, 300
    special_tokens_dict: ClassVar = {}
    unique_identifiers: ClassVar = {"class": "bytes"}


def megatron_sequences(**blend: Any) -> list[Any]:
    """Megatron's training, validation and test data of a blend, 1,000 sequences of each."""
    builder = tool("megatron.core.datasets.blended_megatron_dataset_builder", "megatron-core")
    from megatron.core.datasets.gpt_dataset import GPTDataset, GPTDatasetConfig

    config = GPTDatasetConfig(
        random_seed=0,
        sequence_length=32,
        reset_position_ids=False,
        reset_attention_mask=False,
        eod_mask_loss=False,
        tokenizer=ByteTokens(),
        **blend,
    )
    always = builder.BlendedMegatronDatasetBuilder(GPTDataset, [1000] * 3, lambda: True, config)
    return list(always.build())


def test_megatron_draws_by_the_weights(run_dir: Path, tmp_path: Path) -> None:
    reader = tool("megatron.core.datasets.utils", "megatron-core")
    blend = reader.get_blend_from_list(exported(tmp_path, run_dir, "--to megatron").split())
    train, held_out, _ = megatron_sequences(blend=blend, split="100,0,0")
    assert held_out is None
    assert_shares(train.dataset_index[:1000], exactly=True)
    assert len(train[0]["tokens"]) == 32


def test_megatron_draws_by_the_weights_of_each_split(run_dir: Path, tmp_path: Path) -> None:
    reader = tool("megatron.core.datasets.utils", "megatron-core")
    splits = json.loads(exported(tmp_path, run_dir, "--to megatron-splits"))
    blends = [reader.get_blend_from_list(splits[name]) for name in ("train", "valid", "test")]
    train, valid, test = megatron_sequences(blend_per_split=blends)
    assert_shares(train.dataset_index[:1000], exactly=True)
    for held_out in (valid, test):
        assert np.ptp(np.bincount(held_out.dataset_index[:999])) <= 1


def test_olmo_takes_tokens_by_the_ratios(run_dir: Path, tmp_path: Path) -> None:
    mixtures = tool("olmo_core.data.source_mixture", "ai2-olmo-core")
    path = tmp_path / "mix.yaml"
    path.write_text(exported(tmp_path, run_dir, "--to olmo"))
    sources = mixtures.SourceMixtureList.from_yaml(str(path))
    taken = mixtures.SourceMixtureDatasetConfig(
        source_list=sources,
        # All that the run was to read, so that one domain is read more than once.
        requested_tokens=100 * 256,
        global_batch_size=256,
        render_tables=False,
        quiet=True,
    ).build(npdtype=np.uint16, sequence_length=32)
    tokens = [sum(path.tokens for path in source.path_tokens) for source in taken.sources]
    assert [source.name for source in taken.sources] == list(WEIGHTS)
    assert tokens == pytest.approx([25_600 * weight for weight in WEIGHTS.values()], abs=64)
    assert max(len(source.path_tokens) for source in taken.sources) > 1


def test_datatrove_reads_the_shards_that_nanotron_is_given(
    run_dir: Path, corpus: Path, tmp_path: Path
) -> None:
    reader = tool("datatrove.utils.dataset", "datatrove")
    (stage,) = yaml.safe_load(exported(tmp_path, run_dir, "--to nanotron"))["data_stages"]
    dataset = stage["data"]["dataset"]
    assert dataset["dataset_weights"] == list(WEIGHTS.values())
    for name, folder in zip(WEIGHTS, dataset["dataset_folder"], strict=True):
        Path(folder).mkdir()
        Path(folder, "train.ds").symlink_to("../train.bin")
        sequences = reader.DatatroveFolderDataset(
            folder, seq_len=32, token_size=dataset["token_size_in_bytes"]
        )
        tokens = np.fromfile(corpus / name / "train.bin", dtype=np.uint16)
        assert len(sequences) == len(tokens) // 33
        assert sequences[1]["input_ids"].tolist() == tokens[33:66].tolist()
