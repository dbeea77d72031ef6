"""Tokenizers behind one interface, and the exact number of bytes behind each of their tokens."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

FILE_NAME = "tokenizer.json"
BYTE = "byte"
END_OF_DOCUMENT_NAMES = ("<|endoftext|>", "</s>", "<eos>", "<|end_of_text|>")
BYTE_FALLBACK = re.compile(r"<0x[0-9A-Fa-f]{2}>")
METASPACE = "\u2581"


class Tokenizer(Protocol):
    """What the mixer asks of a tokenizer.

    Attributes:
        vocab_size: Token ids are below it.
        end_of_document: Id of the token that closes a document, None if it is not known.
    """

    @property
    def vocab_size(self) -> int: ...

    @property
    def end_of_document(self) -> int | None: ...

    def encode_batch(self, texts: list[str]) -> list[NDArray[Any]]:
        """Token ids of each text, shape (num_tokens,) each, without special tokens."""
        ...

    def decode(self, ids: Sequence[int] | NDArray[Any]) -> str:
        """The text behind token ids; special tokens give none."""
        ...

    def token_bytes(self) -> NDArray[np.int64]:
        """UTF-8 bytes of text behind each token, shape (vocab_size,); 0 for special tokens."""
        ...


class ByteTokenizer:
    """Ids 0 to 255 are the bytes of UTF-8, 256 closes a document."""

    vocab_size = 257
    end_of_document = 256

    def encode_batch(self, texts: list[str]) -> list[NDArray[Any]]:
        return [np.frombuffer(text.encode(), dtype=np.uint8) for text in texts]

    def decode(self, ids: Sequence[int] | NDArray[Any]) -> str:
        values = np.asarray(ids, dtype=np.int64)
        return values[values < 256].astype(np.uint8).tobytes().decode(errors="replace")

    def token_bytes(self) -> NDArray[np.int64]:
        sizes = np.ones(self.vocab_size, dtype=np.int64)
        sizes[self.end_of_document] = 0
        return sizes


class HuggingFaceTokenizer:
    """A ``tokenizer.json``.

    Text is text: what looks like a special token in it is not read as one, none is added, and
    nothing is cut or padded, whatever the file asks for.

    Args:
        path: The file.
        end_of_document: Name or id of the token that closes a document; None tries the usual names.

    Raises:
        ValueError: The file is no tokenizer or has no such token.
    """

    def __init__(self, path: Path, end_of_document: str | int | None = None) -> None:
        # The import takes as long as all others here together, and bytes need none of it.
        from tokenizers import Tokenizer as Backend

        if not path.is_file():
            raise ValueError(f"{path} does not exist; name a {FILE_NAME} or a folder that has one")
        try:
            self._backend = Backend.from_file(str(path))
        except Exception as error:  # the library raises nothing narrower
            raise ValueError(f"{path} is no tokenizer that can be read: {error}") from error
        self._path = path
        self._backend.no_truncation()
        self._backend.no_padding()
        self._backend.encode_special_tokens = True
        self._vocabulary = self._backend.get_vocab(with_added_tokens=True)
        self.vocab_size = max(self._vocabulary.values(), default=-1) + 1
        if not self.vocab_size:
            raise ValueError(f"{path} has no tokens")
        self.end_of_document = self._find_end(end_of_document)

    def _find_end(self, wanted: str | int | None) -> int | None:
        if wanted is None:
            known = (self._vocabulary.get(name) for name in END_OF_DOCUMENT_NAMES)
            return next((id for id in known if id is not None), None)
        if isinstance(wanted, int):
            if not 0 <= wanted < self.vocab_size:
                raise ValueError(
                    f"end_of_document must be below {self.vocab_size}, the vocabulary of "
                    f"{self._path}, got {wanted}"
                )
            return wanted
        if wanted not in self._vocabulary:
            special = [t.content for t in self._backend.get_added_tokens_decoder().values()]
            raise ValueError(
                f"end_of_document must be a token of {self._path}, got {wanted!r}; its special "
                f"tokens are {', '.join(special[:20]) or 'none'}"
            )
        return self._vocabulary[wanted]

    def encode_batch(self, texts: list[str]) -> list[NDArray[Any]]:
        encodings = self._backend.encode_batch_fast(texts, add_special_tokens=False)
        return [np.array(encoding.ids, dtype=np.int32) for encoding in encodings]

    def decode(self, ids: Sequence[int] | NDArray[Any]) -> str:
        return self._backend.decode([int(id) for id in ids])

    def token_bytes(self) -> NDArray[np.int64]:
        """UTF-8 bytes of text behind each token, shape (vocab_size,); 0 for special tokens.

        Exact where the tokenizer loses nothing; one that writes a space before each document (an
        option of most SentencePiece models) counts that byte too.

        Raises:
            ValueError: It is not known how its tokens spell text.
        """
        spelling = _spelling(json.loads(self._backend.to_str()), self._path)
        sizes = np.zeros(self.vocab_size, dtype=np.int64)
        for token, id in self._vocabulary.items():
            sizes[id] = spelling(token)
        for id, added in self._backend.get_added_tokens_decoder().items():
            sizes[id] = 0 if added.special else len(added.content.encode())
        return sizes


def _spelling(settings: dict[str, Any], path: Path) -> Callable[[str], int]:
    model, splitter = settings["model"], settings["pre_tokenizer"]
    parts = list(_parts([settings[part] for part in ("normalizer", "pre_tokenizer", "decoder")]))
    types = {part["type"] for part in parts}
    affixes = model.get("continuing_subword_prefix") or model.get("end_of_word_suffix")
    if model["type"] not in ("BPE", "Unigram") or affixes:
        raise ValueError(
            f"the bytes behind the tokens of {path} are not known: they can be told for BPE and "
            f"Unigram models without prefixes and suffixes, this is a {model['type']} model"
        )
    if "ByteLevel" in types:
        from tokenizers.pre_tokenizers import ByteLevel

        alphabet = frozenset(ByteLevel.alphabet())
        return lambda token: len(token if alphabet.issuperset(token) else token.encode())
    spaced = "Metaspace" in types or any(part.get("content") == METASPACE for part in parts)
    if splitter is not None and not spaced:
        raise ValueError(
            f"the bytes behind the tokens of {path} are not known: it has neither a ByteLevel nor "
            "a Metaspace part, so the spaces between its tokens may be lost"
        )
    # A model without a list of its own has id 0 for what it does not know.
    unknown = model.get("unk_token")
    if model["type"] == "Unigram" and model.get("unk_id") is not None:
        unknown = model["vocab"][model["unk_id"]][0]

    def size(token: str) -> int:
        if token == unknown:
            return 0
        if model.get("byte_fallback") and BYTE_FALLBACK.fullmatch(token):
            return 1
        return len((token.replace(METASPACE, " ") if spaced else token).encode())

    return size


def _parts(tree: object) -> Iterator[dict[str, Any]]:
    """All parts of a pipeline of normalizers, pre-tokenizers or decoders, nested ones included."""
    if isinstance(tree, dict):
        if "type" in tree:
            yield tree
        for value in tree.values():
            yield from _parts(value)
    elif isinstance(tree, list):
        for value in tree:
            yield from _parts(value)


def open_tokenizer(folder: Path, name: str, end_of_document: str | int | None = None) -> Tokenizer:
    """Open the tokenizer that a manifest names.

    Args:
        folder: The folder of the manifest.
        name: ``byte``, or the name of a ``tokenizer.json`` in the folder.
        end_of_document: Name or id of the token that closes a document; None tries the usual names.

    Raises:
        ValueError: The tokenizer is missing or cannot be read.
    """
    if not name:
        raise ValueError(
            f"the tokenizer of {folder} is not known; make the manifest again with --tokenizer"
        )
    if name == BYTE:
        return ByteTokenizer()
    return HuggingFaceTokenizer(folder / name, end_of_document)
