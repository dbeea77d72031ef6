"""Shards that exist already: `glotmix manifest` describes them, `glotmix verify` checks them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple, NoReturn

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from mixer.corpus_table import corpus_table
from mixer.indexed import TokenShard, checksum_text, new_digest, partial_path
from mixer.manifest import Manifest, SplitEntry, check_domain_name
from mixer.tokenizer_choice import tokenizer_file
from mixer.tokenizers import BYTE, FILE_NAME, Tokenizer, open_tokenizer

SPLIT_NAMES = {
    "train": "train",
    "training": "train",
    "validation": "validation",
    "valid": "validation",
    "val": "validation",
    "dev": "validation",
    "test": "test",
}
# What Megatron's and GPT-NeoX's preprocessing appends to a name.
MEGATRON_ENDING = re.compile(r"_(text_)?(document|sentence)$")
SPLIT_ENDING = re.compile(rf"(?:(.+)[_.-])?({'|'.join(SPLIT_NAMES)})")


class Found(NamedTuple):
    domain: str
    split: str
    prefix: Path


class Scan(NamedTuple):
    """What one reading of a shard's tokens tells."""

    checksum: str
    num_bytes: int
    largest_token: int | None


def adopt(
    folder: Path,
    tokenizer: str = "",
    *,
    vocab_size: int | None = None,
    split: str | None = None,
    end_of_document: str | None = None,
) -> Manifest:
    """Describe Megatron shards that were made elsewhere by a ``mixture.json``.

    The shards stay as they are; all their tokens are read once. ``NAME/SPLIT.idx`` and
    ``NAME_SPLIT.idx`` (or with ``-`` or ``.``) belong to domain NAME; Megatron's endings, as in
    ``NAME_SPLIT_text_document.idx``, are left out. A split is called train or training; validation,
    valid, val or dev; or test. Hidden files are ignored.

    Args:
        folder: Folder with the ``.bin`` and ``.idx`` files, or with a folder of them per domain.
        tokenizer: What made the shards: ``byte``, or a ``tokenizer.json`` or a folder that has one,
            which is copied into FOLDER. Without it bytes cannot be counted.
        vocab_size: Token ids must be below it; by default the tokenizer's, or else the smallest
            that fits.
        split: The split of shards whose names tell none.
        end_of_document: Name of the token that closes each document; by default the first of
            ``<|endoftext|>``, ``</s>``, ``<eos>`` and ``<|end_of_text|>`` that the tokenizer has.

    Returns:
        What was written.

    Raises:
        ValueError: There are no shards, they cannot be told apart, one is damaged, or an id is not
            in the vocabulary.
    """
    if not folder.is_dir():
        raise ValueError(f"{folder} is no folder; name the one that holds the shards")
    if split is not None and split not in SPLIT_NAMES:
        raise ValueError(f"split must be one of {', '.join(SPLIT_NAMES)}, got {split!r}")
    if vocab_size is not None and vocab_size < 1:
        raise ValueError(f"vocab_size must be at least 1, got {vocab_size}")
    found = _find(folder, split)
    name, opened = _tokenizer(folder, tokenizer, end_of_document)
    if opened is not None and vocab_size is None:
        vocab_size = opened.vocab_size
    entries = _scan_all(folder, found, opened, vocab_size)
    largest = max((entry.largest_token or 0 for entry in entries), default=0)
    domains: dict[str, dict[str, SplitEntry]] = {}
    for shard, entry in zip(found, entries, strict=True):
        domains.setdefault(shard.domain, {})[shard.split] = entry
    manifest = Manifest(
        tokenizer=name,
        vocab_size=largest + 1 if vocab_size is None else vocab_size,
        end_of_document=None if opened is None else opened.end_of_document,
        domains=domains,
    )
    manifest.save(folder)
    print(corpus_table(manifest))
    for domain in (domain for domain, splits in domains.items() if "train" not in splits):
        print(f"{domain} has no train split")
    return manifest


def verify(folder: Path) -> None:
    """Compare all shards of a corpus with its ``mixture.json``: sizes, documents and checksums.

    Args:
        folder: Folder with a ``mixture.json``.

    Raises:
        ValueError: Shards are missing, damaged or not those of the manifest; names them all.
    """
    manifest = Manifest.load(folder)
    entries = [entry for splits in manifest.domains.values() for entry in splits.values()]
    problems: list[str] = []
    with _bar(sum(entry.tokens for entry in entries)) as bar:
        for entry in entries:
            try:
                _compare(folder, entry, bar)
            except ValueError as error:
                problems.append(str(error))
    if problems:
        raise ValueError(
            f"{len(problems)} of {len(entries)} shards are not as {folder} describes them: "
            f"{'; '.join(problems)}; prepare them again"
        )
    unsure = sum(not entry.checksum for entry in entries)
    print(
        f"all {len(entries)} shards are as the manifest says"
        + f" ({unsure} without a checksum: only their sizes were compared)" * bool(unsure)
    )


def _compare(folder: Path, entry: SplitEntry, bar: tqdm[NoReturn]) -> None:
    shard = TokenShard.open(folder / entry.prefix)
    shard.document_bounds()
    if (len(shard.tokens), shard.num_documents) != (entry.tokens, entry.documents):
        raise ValueError(
            f"{entry.prefix} holds {len(shard.tokens)} tokens in {shard.num_documents} documents, "
            f"the manifest says {entry.tokens} in {entry.documents}"
        )
    if entry.checksum and _scan(shard, None, None, bar).checksum != entry.checksum:
        raise ValueError(f"{entry.prefix}.bin does not have the manifest's checksum")


def _bar(tokens: int) -> tqdm[NoReturn]:
    return tqdm(total=tokens, unit="token", unit_scale=True, leave=False)


def _find(folder: Path, split: str | None) -> list[Found]:
    found: dict[tuple[str, str], Path] = {}
    # `rglob` would not follow links to folders.
    indices = (path for depth in range(3) for path in folder.glob("*/" * depth + "*.idx"))
    for index in sorted(indices):
        place = index.relative_to(folder)
        if any(part.startswith(".") for part in place.parts):
            continue
        shard = _identify(place, split)
        check_domain_name(shard.domain)
        other = found.setdefault((shard.domain, shard.split), shard.prefix)
        if other != shard.prefix:
            raise ValueError(
                f"{other} and {shard.prefix} are both the {shard.split} split of {shard.domain!r}; "
                "join them, or give each a folder of its own"
            )
    if not found:
        raise ValueError(f"{folder} holds no shards (no file called NAME.idx)")
    return [Found(domain, split, prefix) for (domain, split), prefix in sorted(found.items())]


def _identify(place: Path, split: str | None) -> Found:
    prefix = place.with_suffix("")
    name = MEGATRON_ENDING.sub("", prefix.name)
    match = SPLIT_ENDING.fullmatch(name)
    told = SPLIT_NAMES[match[2]] if match else split and SPLIT_NAMES[split]
    if not told:
        raise ValueError(
            f"{place} does not tell its split; call it NAME_train.idx or the like, or say by "
            "split which one such shards are"
        )
    if len(place.parts) > 2:
        raise ValueError(f"{place} lies too deep; link it into a folder named like its domain")
    domain = place.parts[0] if len(place.parts) == 2 else match[1] if match else name
    if not domain:
        raise ValueError(
            f"{place} does not tell its domain; call it NAME_{place.name} or put it into a folder "
            "named like its domain"
        )
    return Found(domain, told, prefix)


def _tokenizer(
    folder: Path, wanted: str, end_of_document: str | None
) -> tuple[str, Tokenizer | None]:
    if not wanted:
        return "", None
    if wanted == BYTE:
        return BYTE, open_tokenizer(folder, BYTE)
    path = tokenizer_file(wanted)
    if path.resolve().parent == folder.resolve():
        return path.name, open_tokenizer(folder, path.name, end_of_document)
    opened = open_tokenizer(path.parent, path.name, end_of_document)
    target = folder / FILE_NAME
    if not target.exists():
        partial = partial_path(target)
        partial.write_bytes(path.read_bytes())
        partial.replace(target)
    elif target.read_bytes() != path.read_bytes():
        raise ValueError(f"{target} is another tokenizer than {path}; move one of them away")
    return FILE_NAME, opened


def _scan_all(
    folder: Path, found: Sequence[Found], tokenizer: Tokenizer | None, vocab_size: int | None
) -> list[SplitEntry]:
    shards = [TokenShard.open(folder / one.prefix) for one in found]
    table = None if tokenizer is None else tokenizer.token_bytes()
    if table is not None and vocab_size is not None:
        # Models pad their vocabulary; padding stands for no text.
        table = np.pad(table, (0, max(0, vocab_size - len(table))))
    entries = []
    with _bar(sum(len(shard.tokens) for shard in shards)) as bar:
        for one, shard in zip(found, shards, strict=True):
            shard.document_bounds()
            scan = _scan(shard, vocab_size, table, bar)
            entries.append(
                SplitEntry(
                    prefix=one.prefix.as_posix(),
                    tokens=len(shard.tokens),
                    bytes=scan.num_bytes,
                    documents=shard.num_documents,
                    checksum=scan.checksum,
                    largest_token=scan.largest_token,
                )
            )
    return entries


def _scan(
    shard: TokenShard, vocab_size: int | None, table: NDArray[np.int64] | None, bar: tqdm[NoReturn]
) -> Scan:
    digest = new_digest()
    num_bytes, largest, position = 0, -1, 0
    for tokens in shard.blocks():
        digest.update(tokens.tobytes())
        smallest, biggest = int(tokens.min()), int(tokens.max())
        if smallest < 0 or (vocab_size is not None and biggest >= vocab_size):
            wrong = tokens.argmin() if smallest < 0 else tokens.argmax()
            raise ValueError(
                f"token ids must be from 0 to below {vocab_size or 'vocab_size'}, {shard.prefix} "
                f"has {tokens[wrong]} at position {position + wrong}; give the vocab_size or the "
                "tokenizer that it was made with"
            )
        largest = max(largest, biggest)
        num_bytes += 0 if table is None else int(table[tokens].sum())
        position += len(tokens)
        bar.update(len(tokens))
    return Scan(checksum_text(digest), num_bytes, None if largest < 0 else largest)
