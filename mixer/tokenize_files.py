"""The work of `glotmix prepare`: part of a file to a shard, the shards of a file to one."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Protocol, TypeVar

import numpy as np

from mixer.documents import read_documents
from mixer.indexed import ShardWriter, TokenShard, move_shard, smallest_type
from mixer.quarantine import Quarantine
from mixer.receipts import FOLDER, Receipt, is_done
from mixer.sources import SourceFile
from mixer.tokenizer_choice import Choice
from mixer.tokenizers import Tokenizer, open_tokenizer

BATCH_CHARACTERS = 1 << 20


@dataclass(frozen=True)
class Job:
    """A file of text that is to be one shard.

    Attributes:
        source: The file.
        folder: The corpus folder.
        tokenizer: The corpus's tokenizer.
        max_bad_fraction: Largest share of bad documents to put up with.
        parts: In how many parts the file is tokenised.
    """

    source: SourceFile
    folder: Path
    tokenizer: Choice
    max_bad_fraction: float
    parts: int

    @property
    def prefix(self) -> Path:
        return self.folder / self.source.domain / self.source.split

    @property
    def receipt_path(self) -> Path:
        return self.folder / FOLDER / self.source.domain / f"{self.source.split}.json"

    def is_done(self) -> bool:
        return is_done(self.receipt_path, self.source, self.tokenizer.fingerprint, self.prefix)

    def receipt(self) -> Receipt:
        return _found(self.receipt_path)


@dataclass(frozen=True)
class TokenizePart:
    """The task of tokenising one part of a file, which follows the part before without a gap."""

    job: Job
    part: int

    @property
    def label(self) -> str:
        return self.job.source.label

    @property
    def size(self) -> int:
        start, stop = self._span()
        return stop - start

    @property
    def prefix(self) -> Path:
        name = f"{self.job.source.split}.{self.part}-of-{self.job.parts}"
        return self.job.receipt_path.with_name(name)

    @property
    def receipt_path(self) -> Path:
        return self.prefix.with_name(self.prefix.name + ".json")

    def is_done(self) -> bool:
        job = self.job
        return is_done(self.receipt_path, job.source, job.tokenizer.fingerprint, self.prefix)

    def run(self, report: Callable[[int], object]) -> None:
        """Write the part's shard, then its receipt."""
        job = self.job
        tokenizer = _opened(job.folder, job.tokenizer)
        quarantine = Quarantine(job.source.label, job.max_bad_fraction)
        start, stop = self._span()
        done, num_bytes = start, 0
        self.receipt_path.unlink(missing_ok=True)
        with ShardWriter(self.prefix, dtype=smallest_type(job.tokenizer.vocab_size)) as writer:
            documents = read_documents(job.source.path, quarantine, start, stop)
            for batch in in_batches(documents):
                for tokens in tokenizer.encode_batch([document.text for document in batch]):
                    writer.add_document(np.append(tokens, np.int32(job.tokenizer.end_of_document)))
                num_bytes += sum(document.num_bytes for document in batch)
                report(batch[-1].position - done)
                done = batch[-1].position
            job.source.check_unchanged()
        receipt = Receipt.of(job.source, job.tokenizer.fingerprint, writer, num_bytes, quarantine)
        receipt.save(self.receipt_path)
        report(stop - done)

    def _span(self) -> tuple[int, int]:
        size, parts = self.job.source.size, self.job.parts
        return size * self.part // parts, size * (self.part + 1) // parts


@dataclass(frozen=True)
class JoinParts:
    """The task of making the shards of a file's parts one, once all are there."""

    job: Job
    size: int = 0

    @property
    def label(self) -> str:
        return self.job.source.label

    def run(self, report: Callable[[int], object]) -> None:
        """Write the final shard, the list of quarantined documents and the receipt.

        Raises:
            ValueError: The file has too many bad documents, or is to be trained on and has none.
        """
        job = self.job
        parts = [TokenizePart(job, part) for part in range(job.parts)]
        receipts = [_found(part.receipt_path) for part in parts]
        quarantine = Quarantine(job.source.label, job.max_bad_fraction)
        for receipt in receipts:
            quarantine.extend(receipt.seen, receipt.quarantined, receipt.entries)
        quarantine.save(job.prefix.with_name(f"{job.source.split}.quarantine.jsonl"))
        quarantine.check()
        if job.source.split == "train" and not any(receipt.documents for receipt in receipts):
            raise ValueError(
                f"{self.label} holds no documents ({quarantine.seen} bad ones); put text into it "
                "or remove it"
            )
        job.receipt_path.unlink(missing_ok=True)
        if job.parts == 1:
            move_shard(parts[0].prefix, job.prefix)
            receipt = receipts[0]
        else:
            with ShardWriter(job.prefix, dtype=smallest_type(job.tokenizer.vocab_size)) as writer:
                for part in parts:
                    writer.add_shard(TokenShard.open(part.prefix))
            num_bytes = sum(receipt.bytes for receipt in receipts)
            receipt = Receipt.of(
                job.source, job.tokenizer.fingerprint, writer, num_bytes, quarantine
            )
        receipt.save(job.receipt_path)
        for path in job.receipt_path.parent.glob(f"{job.source.split}.*-of-*"):
            path.unlink()


def _found(path: Path) -> Receipt:
    receipt = Receipt.load(path)
    if receipt is None:
        raise ValueError(f"{path} was written and has vanished; run again")
    return receipt


class Text(Protocol):
    """What has a text."""

    @property
    def text(self) -> str: ...


Item = TypeVar("Item", bound=Text)


def in_batches(documents: Iterable[Item]) -> Iterator[list[Item]]:
    """Documents by about a million characters: so many is a bound on memory, a number is none."""
    batch: list[Item] = []
    characters = 0
    for document in documents:
        batch.append(document)
        characters += len(document.text)
        if characters >= BATCH_CHARACTERS:
            yield batch
            batch, characters = [], 0
    if batch:
        yield batch


@lru_cache(maxsize=1)
def _opened(folder: Path, choice: Choice) -> Tokenizer:
    return open_tokenizer(folder, choice.name, choice.end_of_document)
