import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from texts import words, write_texts
from tokenizers import (
    AddedToken,
    Regex,
    decoders,
    models,
    normalizers,
    pre_tokenizers,
    processors,
    trainers,
)
from tokenizers import Tokenizer as Backend

from mixer.bpe import TrainTokenizer, sample_texts
from mixer.sources import find_sources
from mixer.tokenizers import ByteTokenizer, HuggingFaceTokenizer, Tokenizer, open_tokenizer

TEXT = st.text(st.characters(codec="utf-8"), max_size=80)
SPECIAL = st.sampled_from(["<|endoftext|>", "</s>", "<0x41>", "\u2581", " ", "abc", "\n\n", "é́"])
TRICKY = st.lists(TEXT | SPECIAL, max_size=6).map("".join)


def silent(size: int) -> None:
    """What a task reports its progress to."""


def saved(path: Path, backend: Backend) -> Path:
    backend.save(str(path))
    return path


@pytest.fixture(scope="module")
def learnt(tmp_path_factory: pytest.TempPathFactory) -> Tokenizer:
    folder = tmp_path_factory.mktemp("learnt")
    texts = {"en/train.jsonl": [words(0, 2000)], "el/train.jsonl": [words(1, 2000, "αβγδεζηθ")]}
    sources, _ = find_sources(write_texts(folder, texts))
    TrainTokenizer(tuple(sources), 400, "<|endoftext|>", 0, folder / "tokenizer.json").run(silent)
    return open_tokenizer(folder, "tokenizer.json")


@pytest.fixture(scope="module")
def gpt2(tmp_path_factory: pytest.TempPathFactory) -> Tokenizer:
    """The classic byte-level pipeline, whose file asks for what is not wanted here."""
    backend = Backend(models.BPE())
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=300,
        special_tokens=["<s>", "</s>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    backend.train_from_iterator([words(2, 500)], trainer)
    backend.add_tokens(["abc", AddedToken("\n\n", normalized=False)])
    backend.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", special_tokens=[("<s>", 0), ("</s>", 1)]
    )
    backend.enable_truncation(max_length=4)
    backend.enable_padding(length=8)
    folder = tmp_path_factory.mktemp("gpt2")
    saved(folder / "tokenizer.json", backend)
    return open_tokenizer(folder, "tokenizer.json")


def check_bytes(tokenizer: Tokenizer, text: str) -> None:
    (ids,) = tokenizer.encode_batch([text])
    assert tokenizer.decode(ids) == text
    assert tokenizer.token_bytes()[ids].sum() == len(text.encode())
    assert tokenizer.token_bytes().shape == (tokenizer.vocab_size,)


@given(text=TRICKY)
def test_bytes_behind_byte_tokens(text: str) -> None:
    check_bytes(ByteTokenizer(), text)


@settings(deadline=None)
@given(text=TRICKY)
def test_bytes_behind_learnt_tokens(learnt: Tokenizer, text: str) -> None:
    check_bytes(learnt, text)


@settings(deadline=None)
@given(text=TRICKY)
def test_bytes_behind_the_tokens_of_others(gpt2: Tokenizer, text: str) -> None:
    check_bytes(gpt2, text)


def test_the_byte_tokenizer() -> None:
    tokenizer = ByteTokenizer()
    assert (tokenizer.vocab_size, tokenizer.end_of_document) == (257, 256)
    ids = tokenizer.encode_batch(["aé", ""])
    assert [array.tolist() for array in ids] == [[97, 195, 169], []]
    assert tokenizer.decode([97, 256, 195, 169, 256]) == "aé"
    assert tokenizer.decode([195, 97]) == "\ufffda"
    assert tokenizer.token_bytes().tolist() == [1] * 256 + [0]


def test_special_tokens_stand_for_no_bytes(gpt2: Tokenizer) -> None:
    assert gpt2.end_of_document == 1
    table = gpt2.token_bytes()
    assert table[:2].tolist() == [0, 0]
    assert table[-2:].tolist() == [3, 2]


def test_nothing_is_added_cut_or_padded(gpt2: Tokenizer) -> None:
    short, long = gpt2.encode_batch(["a", "a b c d e f g h i j"])
    assert len(short) == 1
    assert len(long) > 8


def test_text_cannot_close_a_document(learnt: Tokenizer) -> None:
    (ids,) = learnt.encode_batch(["a<|endoftext|>b"])
    assert learnt.end_of_document not in ids
    assert learnt.decode(ids) == "a<|endoftext|>b"
    assert learnt.decode([*ids, learnt.end_of_document]) == "a<|endoftext|>b"


def test_marks_belong_to_the_letters_and_words_end_at_spaces(tmp_path: Path) -> None:
    texts = {"hi/train.jsonl": ["हिन्दी की किताब " * 50], "en/train.jsonl": ["it's 12345 " * 50]}
    sources, _ = find_sources(write_texts(tmp_path, texts))
    TrainTokenizer(tuple(sources), 500, "<end>", 0, tmp_path / "tokenizer.json").run(silent)
    tokenizer = open_tokenizer(tmp_path, "tokenizer.json", "<end>")
    (ids,) = tokenizer.encode_batch([" की हिन्दी किताब it's 12345"])
    pieces = [tokenizer.decode([id]) for id in ids]
    assert pieces == [" की", " हिन्दी", " किताब", " it", "'s", " ", "123", "45"]


def sentencepiece_bpe() -> Backend:
    """Llama 2's pipeline: spaces become U+2581, unknown characters fall back to bytes."""
    vocabulary = ["<unk>", "<s>", "</s>", *(f"<0x{byte:02X}>" for byte in range(256))]
    vocabulary += ["\u2581", "a", "b", "é", "\u2581a", "\u2581ab", "\u2581\u2581"]
    merges = [("\u2581", "a"), ("\u2581a", "b"), ("\u2581", "\u2581")]
    backend = Backend(
        models.BPE(
            {token: id for id, token in enumerate(vocabulary)},
            merges,
            unk_token="<unk>",
            byte_fallback=True,
            fuse_unk=True,
        )
    )
    backend.normalizer = normalizers.Replace(" ", "\u2581")
    backend.decoder = decoders.Sequence(
        [decoders.Replace("\u2581", " "), decoders.ByteFallback(), decoders.Fuse()]
    )
    backend.add_special_tokens(["<unk>", "<s>", "</s>"])
    return backend


@settings(deadline=None)
@given(text=TEXT.filter(lambda text: "\u2581" not in text))
def test_bytes_behind_sentencepiece_tokens(
    tmp_path_factory: pytest.TempPathFactory, text: str
) -> None:
    path = tmp_path_factory.getbasetemp() / "sentencepiece.json"
    if not path.exists():
        saved(path, sentencepiece_bpe())
    check_bytes(HuggingFaceTokenizer(path), text)


def unigram() -> Backend:
    pieces = [("<unk>", 0.0), ("\u2581", -2.0), ("a", -2.0), ("\u2581éa", -1.0)]
    backend = Backend(models.Unigram(pieces, unk_id=0, byte_fallback=False))
    backend.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="never")
    backend.decoder = decoders.Metaspace(prepend_scheme="never")
    return backend


def test_bytes_behind_unigram_tokens(tmp_path: Path) -> None:
    tokenizer = HuggingFaceTokenizer(saved(tmp_path / "tokenizer.json", unigram()))
    assert tokenizer.token_bytes().tolist() == [0, 1, 1, 4]
    assert tokenizer.end_of_document is None
    (ids,) = tokenizer.encode_batch(["a éa"])
    assert tokenizer.token_bytes()[ids].sum() == len("a éa".encode())


def word_piece() -> Backend:
    return Backend(models.WordPiece({"[UNK]": 0, "a": 1}, unk_token="[UNK]"))


def spaceless() -> Backend:
    backend = Backend(models.BPE({"a": 0}, []))
    backend.pre_tokenizer = pre_tokenizers.Split(Regex(" "), "removed")
    return backend


@pytest.mark.parametrize(
    ("make", "message"), [(word_piece, "a WordPiece model"), (spaceless, "spaces .* may be lost")]
)
def test_bytes_that_cannot_be_told(
    tmp_path: Path, make: Callable[[], Backend], message: str
) -> None:
    tokenizer = HuggingFaceTokenizer(saved(tmp_path / "tokenizer.json", make()))
    with pytest.raises(
        ValueError, match=f"the bytes behind the tokens of .* not known: .*{message}"
    ):
        tokenizer.token_bytes()


def test_which_token_closes_documents(tmp_path: Path) -> None:
    backend = unigram()
    path = saved(tmp_path / "tokenizer.json", backend)
    with pytest.raises(ValueError, match=r"must be a token of .*, got '<end>'; its special tokens"):
        HuggingFaceTokenizer(path, "<end>")
    with pytest.raises(ValueError, match=r"end_of_document must be below 4, .*, got 4"):
        HuggingFaceTokenizer(path, 4)
    assert HuggingFaceTokenizer(path, "a").end_of_document == 2
    assert HuggingFaceTokenizer(path, 3).end_of_document == 3
    backend.add_special_tokens(["<eos>", "</s>"])
    assert HuggingFaceTokenizer(saved(path, backend)).end_of_document == 5


@pytest.mark.parametrize("content", ["", "{}", "[1]", '{"version": "1.0"}', "\0"])
def test_files_that_are_no_tokenizer(tmp_path: Path, content: str) -> None:
    (tmp_path / "tokenizer.json").write_text(content)
    with pytest.raises(ValueError, match="is no tokenizer that can be read"):
        open_tokenizer(tmp_path, "tokenizer.json")


def test_what_a_manifest_names_must_be_there(tmp_path: Path) -> None:
    assert open_tokenizer(tmp_path, "byte").vocab_size == 257
    with pytest.raises(ValueError, match=r"tokenizer\.json does not exist"):
        open_tokenizer(tmp_path, "tokenizer.json")
    with pytest.raises(ValueError, match="is not known; make the manifest again with --tokenizer"):
        open_tokenizer(tmp_path, "")


def test_samples_are_drawn_evenly_and_bounded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    texts = [f"{number:09}\n" for number in range(5000)]
    files: dict[str, Any] = {"de/train.jsonl": texts, "en/train.jsonl": texts[:10]}
    (source, small), _ = find_sources(write_texts(tmp_path, files))
    sample = sample_texts(source, 1000, "0/de")
    assert len(sample) == 100
    assert list(sample) == sorted(sample) == list(sample_texts(source, 1000, "0/de"))
    assert sample != sample_texts(source, 1000, "1/de")
    assert 1500 < np.mean([int(text) for text in sample]) < 3500
    assert list(sample_texts(small, 1000, "0/en")) == texts[:10]
    monkeypatch.setattr("mixer.bpe.SCAN_PER_DOMAIN", 2000)
    assert max(sample_texts(source, 1000, "0/de")) < texts[200]


def test_the_same_text_gives_the_same_tokenizer(tmp_path: Path) -> None:
    texts = {"de/train.jsonl": [words(seed, 50) for seed in range(20)], "de/test.txt": b"zz\n" * 99}
    sources, _ = find_sources(write_texts(tmp_path, texts))
    files = []
    for name in ("a", "b"):
        TrainTokenizer(tuple(sources[:1]), 300, "</s>", 3, tmp_path / f"{name}.json").run(silent)
        files.append((tmp_path / f"{name}.json").read_bytes())
    assert files[0] == files[1]
    assert json.loads(files[0])["added_tokens"][0]["content"] == "</s>"
