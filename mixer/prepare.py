"""`glotmix prepare`: a folder of text to token shards with a manifest."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from mixer.corpus_table import corpus_table
from mixer.indexed import PARTIAL_FILES
from mixer.lock import locked
from mixer.manifest import FILE_NAME, Manifest, SplitEntry
from mixer.quarantine import check_fraction
from mixer.receipts import FOLDER
from mixer.sources import SourceFile, find_sources
from mixer.tokenize_files import Job, JoinParts, TokenizePart
from mixer.tokenizer_choice import choose_tokenizer
from mixer.workers import Workers

SMALLEST_PART = 32 << 20
MOST_PARTS = 16
MOST_TOLD = 10


def prepare(
    source: Path,
    out: Path,
    tokenizer: str = "byte",
    *,
    workers: int | None = None,
    max_bad_fraction: float = 0.01,
    end_of_document: str | None = None,
    seed: int = 0,
) -> Manifest:
    """Turn a folder of text into token shards and a ``mixture.json``.

    SOURCE holds one folder per domain (a language, say), each with ``train`` and, if there are any,
    ``validation`` and ``test``, as ``.jsonl`` (one JSON object a line, whose ``text`` is the
    document) or ``.txt`` (documents separated by blank lines), plain or compressed (``.gz``,
    ``.zst``). The result can be trained on by Megatron-LM and GPT-NeoX too.

    It can be interrupted, killed, and run again: what is finished is kept as long as its text
    (size and time of change) and the tokenizer are the same.

    ``--pipeline CONFIG.yaml`` in place of SOURCE reads other formats and places, filters and
    removes duplicates: docs/pipeline.md.

    Args:
        source: Folder with a folder of text per domain.
        out: Folder to write to; made if it does not exist.
        tokenizer: ``byte``; or a Hugging Face ``tokenizer.json``, or a folder that has one, of
            which a copy is put beside the shards; or ``bpe:16384`` to learn a byte-level BPE of so
            many tokens from a sample in which no domain weighs more than another.
        workers: Processes to use; by default one per core. 1 does everything in this process.
        max_bad_fraction: Stop at a file of which a larger share of documents is bad. Those that are
            put up with are listed in ``DOMAIN/SPLIT.quarantine.jsonl``.
        end_of_document: Name of the token that closes each document; by default the first of
            ``<|endoftext|>``, ``</s>``, ``<eos>`` and ``<|end_of_text|>`` that the tokenizer has.
        seed: Seed of the sample a tokenizer is learnt from.

    Returns:
        What was written, as in ``mixture.json``.

    Raises:
        ValueError: The text, the tokenizer or an option is not as it must be; says what to do.
    """
    started = time.monotonic()
    workers = _num_cores() if workers is None else workers
    if workers < 1:
        raise ValueError(f"workers must be at least 1, got {workers}")
    check_fraction(max_bad_fraction)
    sources, remarks = find_sources(source)
    if out.resolve() == source.resolve() or source.resolve() in out.resolve().parents:
        raise ValueError(f"{out} lies in {source}, which is only read; choose another folder")
    with _writing(out, sources):
        choice = choose_tokenizer(
            tokenizer,
            out,
            sources,
            processes=0 if workers == 1 else workers,
            end_of_document=end_of_document,
            seed=seed,
        )
        total = sum(file.size for file in sources)
        jobs = [
            Job(file, out, choice, max_bad_fraction, _num_parts(file.size, total, workers))
            for file in sources
        ]
        _run(jobs, workers)
        manifest = Manifest(
            tokenizer=choice.name,
            vocab_size=choice.vocab_size,
            end_of_document=choice.end_of_document,
            domains=_domains(jobs, remarks),
        )
        manifest.save(out)
    print(corpus_table(manifest))
    for remark in remarks:
        print(remark)
    print(
        f"{out / FILE_NAME} written after {time.monotonic() - started:.1f} s; tokenizer "
        f"{choice.name} of {choice.vocab_size:,} tokens"
    )
    return manifest


def _num_cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _num_parts(size: int, total: int, workers: int) -> int:
    """Enough parts for no file to keep all others waiting; each part reads from the beginning."""
    balanced = -(-2 * workers * size // total) if workers > 1 else 1
    return max(1, min(balanced, size // SMALLEST_PART, MOST_PARTS))


@contextmanager
def _writing(out: Path, sources: Sequence[SourceFile]) -> Iterator[None]:
    try:
        with locked(out / FOLDER):
            _remove_partials(out, sources)
            try:
                yield
            finally:
                _remove_partials(out, sources)
    except KeyboardInterrupt:
        print(
            "\ninterrupted; what is finished is kept: run the same command again to go on",
            file=sys.stderr,
        )
        raise
    except OSError as error:
        raise ValueError(f"{out} cannot be written to: {error}") from error


def _remove_partials(out: Path, sources: Sequence[SourceFile]) -> None:
    domains = {source.domain for source in sources}
    for root in (out, out / FOLDER):
        for folder in (root, *(root / domain for domain in domains)):
            for path in folder.glob(PARTIAL_FILES):
                path.unlink()


def _run(jobs: Sequence[Job], workers: int) -> None:
    """Do what is not done yet.

    Raises:
        ValueError: Some files cannot be prepared; names them all. The others are done.
    """
    due = [job for job in jobs if not job.is_done()]
    if kept := len(jobs) - len(due):
        print(f"{kept} of {len(jobs)} files were prepared before and are kept", file=sys.stderr)
    if not due:
        return
    # The old manifest must not describe new shards.
    (jobs[0].folder / FILE_NAME).unlink(missing_ok=True)
    missing: dict[Job, set[TokenizePart]] = {}
    for job in due:
        all_parts = (TokenizePart(job, part) for part in range(job.parts))
        missing[job] = {part for part in all_parts if not part.is_done()}
    parts = [part for of_job in missing.values() for part in of_job]
    parts.sort(key=lambda part: (-part.size, part.label, part.part))
    tasks: list[TokenizePart | JoinParts] = [JoinParts(job) for job in due if not missing[job]]
    tasks.extend(parts)

    def follow(task: TokenizePart | JoinParts) -> list[TokenizePart | JoinParts]:
        if isinstance(task, JoinParts):
            return []
        missing[task.job].remove(task)
        return [] if missing[task.job] else [JoinParts(task.job)]

    with Workers(0 if workers == 1 else min(workers, len(tasks))) as pool:
        failures = pool.run(tasks, "tokenise", follow)
    if failures:
        reasons = {task.label: reason for task, reason in failures}
        told = "; ".join(reasons[label] for label in sorted(reasons)[:MOST_TOLD])
        more = f"; and {len(reasons) - MOST_TOLD} more" if len(reasons) > MOST_TOLD else ""
        raise ValueError(
            f"{len(reasons)} of {len(jobs)} files could not be prepared (what is finished is "
            f"kept): {told}{more}"
        )


def _domains(jobs: Sequence[Job], remarks: list[str]) -> dict[str, dict[str, SplitEntry]]:
    domains: dict[str, dict[str, SplitEntry]] = {}
    for job in jobs:
        receipt = job.receipt()
        # A file kept from an earlier run may have been judged more leniently then.
        receipt.quarantine(job.source.label, job.max_bad_fraction).check()
        if not receipt.documents:
            remarks.append(f"left out {job.source.label}: it holds no documents")
            continue
        domains.setdefault(job.source.domain, {})[job.source.split] = SplitEntry(
            prefix=f"{job.source.domain}/{job.source.split}",
            tokens=receipt.tokens,
            bytes=receipt.bytes,
            documents=receipt.documents,
            source=str(job.source.path),
            checksum=receipt.checksum,
            quarantined=receipt.quarantined,
            largest_token=receipt.largest_token,
        )
    return domains
