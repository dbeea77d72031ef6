"""A corpus folder opened for reading: its manifest and the shards it names."""

from __future__ import annotations

import resource
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mixer.indexed import TokenShard
from mixer.manifest import Manifest, SplitEntry
from mixer.sampling.functions import SamplingFunction
from mixer.sampling.scores import read_scores
from mixer.sampling.stream import SampledStream
from mixer.streams import DomainStream
from mixer.tokenizers import open_tokenizer


class Corpus:
    """Domains with their splits, checked against the manifest as they are opened.

    Args:
        folder: A folder with ``mixture.json``.
        domains: The domains to use, in this order; all of the manifest's if None.

    Raises:
        ValueError: There is no manifest, or a domain is not in it.
    """

    def __init__(self, folder: Path, domains: Sequence[str] | None = None) -> None:
        self.folder = folder
        self.manifest = Manifest.load(folder)
        known = self.manifest.names
        self.names = known if domains is None else tuple(domains)
        if unknown := [name for name in self.names if name not in known]:
            raise ValueError(f"domains {unknown} are not in {folder}; it has {', '.join(known)}")
        if len(set(self.names)) != len(self.names) or not self.names:
            raise ValueError(f"domains must be named once each, got {list(self.names)}")

    def entries(self, split: str) -> list[SplitEntry]:
        """The manifest's entries of one split, one per domain.

        Raises:
            ValueError: A domain has no such split.
        """
        missing = [name for name in self.names if split not in self.manifest.domains[name]]
        if missing:
            raise ValueError(
                f"{self.folder} has no {split} split for {', '.join(missing)}; prepare one, or "
                "leave these domains out"
            )
        return [self.manifest.domains[name][split] for name in self.names]

    def streams(self, split: str, *, sequence_length: int, seed: int) -> list[DomainStream]:
        """One stream per domain over a split.

        Raises:
            ValueError: A shard is missing, does not match the manifest, or is too short.
        """
        _allow_open_files(4 * len(self.names))
        return [
            DomainStream(name, self._tokens(name, entry), sequence_length, seed)
            for name, entry in zip(self.names, self.entries(split), strict=True)
        ]

    def sampled_stream(
        self, name: str, function: SamplingFunction, *, sequence_length: int, seed: int
    ) -> SampledStream:
        """A stream over a domain's training split in which documents come at a function's rates.

        Raises:
            ValueError: A shard or its scores are missing or do not match, or too little is left.
        """
        entry = self.entries("train")[self.names.index(name)]
        shard = self._shard(name, entry)
        bounds = shard.document_bounds()
        scores = {score: read_scores(shard, score) for score in function.needs}
        try:
            rates = function.rates(scores, np.diff(bounds).astype(np.float64))
        except ValueError as error:
            raise ValueError(f"domain {name!r}: {error}") from error
        return SampledStream(
            name, shard.tokens, bounds, rates, sequence_length=sequence_length, seed=seed
        )

    def token_bytes(self, split: str = "train") -> NDArray[np.float64]:
        """UTF-8 bytes behind each token id, shape (vocab_size,).

        Where the tokenizer is not known, every token counts as the mean over the split.

        Raises:
            ValueError: Neither the tokenizer nor the bytes of the text are known.
        """
        vocab_size = self.manifest.vocab_size
        if self.manifest.tokenizer:
            table = open_tokenizer(self.folder, self.manifest.tokenizer).token_bytes()
            # Models pad their vocabulary; padding stands for no text.
            return np.pad(table.astype(np.float64), (0, max(0, vocab_size - len(table))))
        entries = self.entries(split)
        tokens, size = (sum(getattr(entry, of) for entry in entries) for of in ("tokens", "bytes"))
        if not size:
            raise ValueError(
                f"{self.folder} names no tokenizer and counts no bytes, so losses cannot be told "
                "in bits per byte; run `glotmix manifest` with --tokenizer"
            )
        return np.full(vocab_size, size / tokens)

    def _tokens(self, name: str, entry: SplitEntry) -> NDArray[np.generic]:
        return self._shard(name, entry).tokens

    def _shard(self, name: str, entry: SplitEntry) -> TokenShard:
        shard = TokenShard.open(self.folder / entry.prefix)
        if len(shard.tokens) != entry.tokens:
            raise ValueError(
                f"the shard {entry.prefix} of domain {name!r} holds {len(shard.tokens)} tokens, "
                f"the manifest says {entry.tokens}; prepare {self.folder} again"
            )
        return shard


def _allow_open_files(needed: int) -> None:
    """Raise this process's limit on open files if thousands of mapped shards need it.

    Raises:
        ValueError: The system's hard limit is too low.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = needed + 256
    if soft == resource.RLIM_INFINITY or soft >= wanted:
        return
    if hard != resource.RLIM_INFINITY and hard < wanted:
        raise ValueError(
            f"this corpus needs {wanted} open files, the system's hard limit is {hard}; raise it "
            "(`ulimit -Hn`) or use fewer domains"
        )
    resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
