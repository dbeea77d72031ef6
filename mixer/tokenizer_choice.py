"""Which tokenizer a corpus gets: none, one that exists, or one learnt from the corpus."""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from mixer.bpe import END_OF_DOCUMENT, LARGEST_VOCABULARY, SMALLEST_VOCABULARY, TrainTokenizer
from mixer.indexed import partial_path
from mixer.manifest import FILE_NAME as MANIFEST_NAME
from mixer.receipts import FOLDER, VERSION
from mixer.sources import SourceFile
from mixer.tokenizers import (
    BYTE,
    END_OF_DOCUMENT_NAMES,
    FILE_NAME,
    ByteTokenizer,
    HuggingFaceTokenizer,
)
from mixer.workers import Workers

RECEIPT = "tokenizer-receipt.json"
Recipe = Mapping[str, object]


class Choice(NamedTuple):
    """A tokenizer that lies in a corpus folder, or needs no file.

    Attributes:
        name: What the manifest calls it.
        vocab_size: Token ids are below it.
        end_of_document: Id of the token that closes each document.
        fingerprint: Changes whenever the tokenizer or the end of a document does.
    """

    name: str
    vocab_size: int
    end_of_document: int
    fingerprint: str


def choose_tokenizer(
    wanted: str,
    folder: Path,
    sources: Sequence[SourceFile],
    *,
    processes: int,
    end_of_document: str | None,
    seed: int,
) -> Choice:
    """Put the tokenizer that is asked for into a corpus folder, unless it is there already.

    Args:
        wanted: ``byte``, ``bpe:VOCAB``, or a ``tokenizer.json`` or a folder that has one.
        folder: The corpus folder.
        sources: The text; a tokenizer is learnt from the train splits.
        processes: 0 to learn in this process, which Ctrl-C then has to wait for.
        end_of_document: Name of the token that closes a document; None for the usual ones.
        seed: Seed of the sample to learn from.

    Raises:
        ValueError: There is no such tokenizer, it cannot close documents, or the folder holds a
            ``tokenizer.json`` of someone else's.
    """
    if wanted == BYTE:
        if end_of_document is not None:
            raise ValueError(
                "end_of_document names a token of a tokenizer.json, the byte tokenizer has its "
                f"own; leave out {end_of_document!r} or choose another tokenizer"
            )
        return Choice(BYTE, ByteTokenizer.vocab_size, ByteTokenizer.end_of_document, BYTE)
    if wanted.startswith("bpe:"):
        _learn(wanted, folder, sources, processes, end_of_document or END_OF_DOCUMENT, seed)
    else:
        path = tokenizer_file(wanted)
        _chosen(path, end_of_document)
        _install(path.read_bytes(), {"copied": wanted}, folder)
    return _chosen(folder / FILE_NAME, end_of_document)


def tokenizer_file(wanted: str) -> Path:
    """The ``tokenizer.json`` that a path names: the file, or the one in the folder."""
    path = Path(wanted).expanduser()
    path = path / FILE_NAME if path.is_dir() else path
    if not path.is_file():
        raise ValueError(
            f"tokenizer must be '{BYTE}', 'bpe:VOCAB', or the path of a {FILE_NAME} or of a folder "
            f"that has one, got {wanted!r}, which does not exist"
        )
    return path


def _chosen(path: Path, end_of_document: str | None) -> Choice:
    tokenizer = HuggingFaceTokenizer(path, end_of_document)
    if tokenizer.end_of_document is None:
        raise ValueError(
            f"{path} has none of the tokens {', '.join(END_OF_DOCUMENT_NAMES)} to close "
            "documents with; name one of its tokens by end_of_document"
        )
    tokenizer.token_bytes()
    fingerprint = f"{_digest(path.read_bytes())} closed by {tokenizer.end_of_document}"
    return Choice(FILE_NAME, tokenizer.vocab_size, tokenizer.end_of_document, fingerprint)


def _learn(
    wanted: str,
    folder: Path,
    sources: Sequence[SourceFile],
    processes: int,
    end_of_document: str,
    seed: int,
) -> None:
    size = wanted.removeprefix("bpe:")
    if not size.isdecimal() or not SMALLEST_VOCABULARY <= int(size) <= LARGEST_VOCABULARY:
        raise ValueError(
            f"the vocabulary of a bpe tokenizer must be a number from {SMALLEST_VOCABULARY} (the "
            f"bytes and the end of a document) to {LARGEST_VOCABULARY}, got {wanted!r}"
        )
    train = tuple(source for source in sources if source.split == "train")
    recipe = {
        "learnt": [VERSION, int(size), end_of_document, seed],
        "sources": [[source.label, source.size, source.mtime_ns] for source in train],
    }
    if _installed(folder) == recipe:
        return
    _check_ours(folder)
    print(f"learning a tokenizer of {size} tokens from {len(train)} domains", file=sys.stderr)
    path = folder / FOLDER / FILE_NAME
    with Workers(min(processes, 1)) as workers:
        task = TrainTokenizer(train, int(size), end_of_document, seed, path)
        if failures := workers.run([task], "sample"):
            raise ValueError(failures[0][1])
    _install(path.read_bytes(), recipe, folder)
    path.unlink()


def _installed(folder: Path) -> Recipe | None:
    """How the folder's tokenizer was made, if prepare put it there and it is still that one."""
    try:
        receipt = json.loads((folder / FOLDER / RECEIPT).read_text())
        if receipt["digest"] == _digest((folder / FILE_NAME).read_bytes()):
            recipe: Recipe = receipt["recipe"]
            return recipe
    except (OSError, ValueError, KeyError, TypeError):
        pass
    return None


def _check_ours(folder: Path) -> None:
    if (folder / FILE_NAME).exists() and not (folder / FOLDER / RECEIPT).exists():
        raise ValueError(
            f"{folder / FILE_NAME} is another tokenizer, which prepare did not put there; move it "
            "away or choose another folder"
        )


def _install(content: bytes, recipe: Recipe, folder: Path) -> None:
    target = folder / FILE_NAME
    if not target.exists() or target.read_bytes() != content:
        _check_ours(folder)
        # The old manifest must not name the new tokenizer.
        (folder / MANIFEST_NAME).unlink(missing_ok=True)
    # The receipt first: a file that prepare put there must never look like someone else's.
    receipt = json.dumps({"recipe": recipe, "digest": _digest(content)}, indent=1)
    (folder / FOLDER / RECEIPT).write_text(receipt)
    partial = partial_path(target)
    partial.write_bytes(content)
    partial.replace(target)


def _digest(content: bytes) -> str:
    return hashlib.blake2b(content, digest_size=20).hexdigest()
