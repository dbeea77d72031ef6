"""A byte-level BPE learnt from a sample in which no language weighs more than another."""

from __future__ import annotations

import heapq
import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from mixer.documents import read_documents
from mixer.indexed import partial_path
from mixer.quarantine import Quarantine
from mixer.sources import SourceFile

SMALLEST_VOCABULARY = 257
LARGEST_VOCABULARY = 1 << 20
END_OF_DOCUMENT = "<|endoftext|>"
SAMPLE_PER_DOMAIN = 4 << 20
SAMPLE_IN_ALL = 512 << 20
SCAN_PER_DOMAIN = 64 << 20
LONGEST_EXCERPT = 1 << 15
# Like that of Llama 3, but combining marks belong to the letters: without them every vowel sign of
# Hindi or Thai would end a word.
WORDS = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{M}\p{N}]?[\p{L}\p{M}]+|\p{N}{1,3}"
    r"| ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)


@dataclass(frozen=True)
class TrainTokenizer:
    """The task of learning a tokenizer.

    At most 4 MiB of text a domain, drawn at random from the first 64 MiB of its train split; fewer
    if there are more than 128 domains. The same sources and seed give the same tokenizer.

    Attributes:
        sources: The train splits.
        vocab_size: Tokens to learn, the 256 bytes and the end of a document included.
        end_of_document: Name of the token that closes a document.
        seed: Seed of the sample.
        path: The ``tokenizer.json`` to write.
    """

    sources: tuple[SourceFile, ...]
    vocab_size: int
    end_of_document: str
    seed: int
    path: Path

    @property
    def label(self) -> str:
        return self.path.name

    @property
    def size(self) -> int:
        return sum(source.size for source in self.sources)

    def run(self, report: Callable[[int], object]) -> None:
        """Learn the tokenizer and write it in one step."""
        from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers

        tokenizer = Tokenizer(models.BPE())
        byte_level = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
        words = pre_tokenizers.Split(Regex(WORDS), "isolated")
        tokenizer.pre_tokenizer = pre_tokenizers.Sequence([words, byte_level])
        tokenizer.decoder = decoders.ByteLevel()
        trainer = trainers.BpeTrainer(
            vocab_size=self.vocab_size,
            special_tokens=[self.end_of_document],
            initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
            show_progress=False,
        )
        tokenizer.train_from_iterator(self._sample(report), trainer)
        self.path.parent.mkdir(parents=True, exist_ok=True)
        partial = partial_path(self.path)
        tokenizer.save(str(partial))
        partial.replace(self.path)

    def _sample(self, report: Callable[[int], object]) -> Iterator[str]:
        budget = min(SAMPLE_PER_DOMAIN, SAMPLE_IN_ALL // len(self.sources))
        for source in self.sources:
            yield from sample_texts(source, budget, f"{self.seed}/{source.domain}")
            report(source.size)


def sample_texts(source: SourceFile, budget: int, seed: str) -> Sequence[str]:
    """Draw documents at random, in the order of the file.

    Args:
        source: Its first 64 MiB of text are drawn from.
        budget: Bytes to draw, at most; of one document at most 32 Ki characters are taken.
        seed: Seed of the draw.

    Returns:
        The texts.
    """
    generator = random.Random(seed)
    # A heap of the documents with the smallest lots, the largest lot on top.
    drawn: list[tuple[float, int, str]] = []
    held = scanned = 0
    # Whether the file has too many bad documents is judged when it is tokenised.
    for document in read_documents(source.path, Quarantine(source.label, max_bad_fraction=1)):
        text = document.text[:LONGEST_EXCERPT]
        heapq.heappush(drawn, (-generator.random(), document.line, text))
        held += len(text.encode())
        scanned += document.num_bytes
        while held > budget and len(drawn) > 1:
            held -= len(heapq.heappop(drawn)[2].encode())
        if scanned >= SCAN_PER_DOMAIN:
            break
    return [text for _, _, text in sorted(drawn, key=lambda lot: lot[1])]
