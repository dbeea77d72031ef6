"""The block that turns documents into a token shard."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from datatrove.data import Document
from datatrove.pipeline.base import PipelineStep

from mixer.indexed import ShardWriter, partial_path, smallest_type
from mixer.pipeline.columns import Columns
from mixer.tokenize_files import in_batches
from mixer.tokenizers import BYTE, Tokenizer, open_tokenizer


class Part(NamedTuple):
    """What a task wrote.

    Attributes:
        tokens: Tokens of its shard.
        bytes: UTF-8 bytes of the text behind them.
        documents: Documents of its shard.
        largest_token: The largest id, None without tokens.
        checksum: Digest of the data file.
    """

    tokens: int
    bytes: int
    documents: int
    largest_token: int | None
    checksum: str

    @classmethod
    def load(cls, prefix: Path) -> Part:
        """Read what ``TokenizeDocuments`` has left beside a shard.

        Raises:
            ValueError: It is not there.
        """
        try:
            return cls(**json.loads(_record(prefix).read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError) as error:
            raise ValueError(f"{prefix} was tokenised and has vanished; run again") from error

    def save(self, prefix: Path) -> None:
        partial = partial_path(_record(prefix))
        partial.write_text(json.dumps(self._asdict()), encoding="utf-8")
        partial.replace(_record(prefix))


class TokenizeDocuments(PipelineStep):
    """Writes the documents of each task to a shard of their own, ``FOLDER/RANK.bin`` and ``.idx``.

    The shards are the same, byte for byte, as those of `glotmix prepare FOLDER`. datatrove's
    ``MegatronDocumentTokenizer`` has the same format, but reads ``<|endoftext|>`` in a text as the
    end of a document, knows no byte tokenizer, adds what a tokenizer's own template asks for where
    no end is named, and leaves a file under its final name when it is killed.

    Args:
        folder: Where the shards go.
        tokenizer: ``byte`` or the path of a ``tokenizer.json``.
        end_of_document: Id of the token that closes a document; None for the tokenizer's.
        columns: Numbers in the documents' metadata to keep beside each shard.
    """

    type = "TOKENIZER"
    name = "Token shards"

    def __init__(
        self,
        folder: str,
        tokenizer: str = BYTE,
        end_of_document: int | None = None,
        columns: Sequence[str] = (),
    ) -> None:
        super().__init__()
        self.folder = folder
        self.tokenizer = tokenizer
        self.end_of_document = end_of_document
        self.columns = tuple(columns)

    def run(self, data: Iterator[Document], rank: int = 0, world_size: int = 1) -> None:
        """Write one shard, and beside it what is in it."""
        path = Path(self.tokenizer)
        name = BYTE if self.tokenizer == BYTE else path.name
        tokenizer = open_tokenizer(path.parent, name, self.end_of_document)
        if tokenizer.end_of_document is None:
            raise ValueError(f"{path} has none of the usual tokens to close documents; name one")
        end = np.int32(tokenizer.end_of_document)
        columns = Columns(self.columns)
        prefix = Path(self.folder) / f"{rank:05d}"
        num_bytes = 0
        with ShardWriter(prefix, dtype=smallest_type(tokenizer.vocab_size)) as writer:
            for batch in in_batches(data):
                with self.track_time("batch"):
                    num_bytes += _add(batch, tokenizer, end, writer)
                    for document in batch:
                        columns.add(document.metadata)
        columns.save(prefix)
        Part(
            tokens=writer.num_tokens,
            bytes=num_bytes,
            documents=writer.num_documents,
            largest_token=writer.largest_token,
            checksum=writer.checksum,
        ).save(prefix)
        self.stat_update("tokens", value=writer.num_tokens, unit="task")
        self.stat_update("bytes", value=num_bytes, unit="task")


def _record(prefix: Path) -> Path:
    return prefix.with_name(prefix.name + ".json")


def _add(batch: list[Document], tokenizer: Tokenizer, end: np.int32, writer: ShardWriter) -> int:
    """Add documents to a shard; returns the bytes of their text."""
    texts = [document.text for document in batch]
    for tokens in tokenizer.encode_batch(texts):
        writer.add_document(np.append(tokens, end))
    return sum(len(text.encode()) for text in texts)
