from pathlib import Path

import numpy as np
import pytest
from texts import words, write_texts

pytest.importorskip("datatrove", reason="the extra `prepare` is not installed")

from datatrove.data import Document
from datatrove.pipeline.tokens import MegatronDocumentTokenizer

from mixer.adopt import adopt
from mixer.indexed import TokenShard, bin_path, idx_path
from mixer.pipeline.tokenize_documents import Part, TokenizeDocuments
from mixer.prepare import prepare

TEXTS = [words(seed, 30) for seed in range(20)]


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tokenizer")
    prepare(write_texts(folder / "text", {"de/train.jsonl": TEXTS}), folder, "bpe:300", workers=1)
    return folder / "tokenizer.json"


def documents(texts: list[str]) -> list[Document]:
    return [Document(text, str(number)) for number, text in enumerate(texts)]


def both(folder: Path, tokenizer: Path, texts: list[str]) -> tuple[Path, Path]:
    """Shards by our block and by datatrove's."""
    TokenizeDocuments(str(folder), str(tokenizer)).run(iter(documents(texts)))
    theirs = MegatronDocumentTokenizer(
        str(folder), tokenizer_name_or_path=str(tokenizer), eos_token="<|endoftext|>"
    )
    theirs.run(iter(documents(texts)))
    return folder / "00000", folder / "00000_tokens"


def test_on_plain_text_datatrove_writes_the_same(tmp_path: Path, tokenizer: Path) -> None:
    ours, theirs = both(tmp_path, tokenizer, TEXTS)
    assert bin_path(ours).read_bytes() == bin_path(theirs).read_bytes()
    assert idx_path(ours).read_bytes() == idx_path(theirs).read_bytes()


def test_text_is_text(tmp_path: Path, tokenizer: Path) -> None:
    ours, theirs = both(tmp_path, tokenizer, ["a <|endoftext|> b"])
    assert (TokenShard.open(ours).tokens == 0).sum() == 1
    assert (TokenShard.open(theirs).tokens == 0).sum() == 2


def test_a_shard_of_the_block_can_be_adopted(tmp_path: Path, tokenizer: Path) -> None:
    TokenizeDocuments(str(tmp_path), "byte", columns=["score"]).run(iter(documents(["ab", "c"])))
    assert Part.load(tmp_path / "00000").bytes == 3
    assert np.isnan(np.load(tmp_path / "00000.score.scores.npy")).tolist() == [True, True]
    entry = adopt(tmp_path, "byte", split="train").domains["00000"]["train"]
    assert (entry.tokens, entry.documents, entry.bytes) == (5, 2, 3)
    with pytest.raises(ValueError, match="was tokenised and has vanished; run again"):
        Part.load(tmp_path / "00001")


def test_a_column_holds_numbers(tmp_path: Path) -> None:
    bad = Document("a", "1", metadata={"score": "high"})
    with pytest.raises(ValueError, match="column score must hold numbers, a document has 'high'"):
        TokenizeDocuments(str(tmp_path), columns=["score"]).run(iter([bad]))
    assert not list(tmp_path.glob("*.bin*"))
