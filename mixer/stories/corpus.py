"""The story corpus as files: how much of every domain, in which split, written all or nothing."""

from __future__ import annotations

import dataclasses
import itertools
import json
import math
import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

import zstandard

from mixer.stories.draws import Draws
from mixer.stories.language import load_language
from mixer.stories.noise import corrupt
from mixer.stories.plan import draw_plan
from mixer.stories.realise import realise
from mixer.stories.registry import LANGUAGES, StoryDomain

MARK = "stories.json"
FORMAT = "glotmix stories"
VERSION = 1
"""Changes whenever the same seed and scale give other texts."""

LARGEST_TRAIN = 2_500_000
HELD_OUT = 60
LEAST_HELD_OUT = 8
ZSTD_LEVEL = 10
SPLITS = ("train", "validation", "test")


class Story(NamedTuple):
    """A story in one domain.

    Attributes:
        id: The plan's; the same in every domain.
        text: The text.
    """

    id: str
    text: str


def tell(domain: StoryDomain, split: str, seed: int) -> Iterator[Story]:
    """Tell stories without end.

    A plan belongs to one split by its ID, so no domain trains on what another is tested on.

    Args:
        domain: The domain.
        split: The split.
        seed: The user's seed.

    Yields:
        Stories: in every domain the same ones in the same order.
    """
    language = load_language(domain.language)
    for number in itertools.count():
        plan = draw_plan(seed, f"{split}-{number:06d}")
        text = realise(plan, language, seed)
        if domain.noise:
            text = corrupt(text, domain.noise, Draws(seed, "noise", plan.id))
        yield Story(plan.id, text)


def stories_of(domain: StoryDomain, split: str, seed: int, scale: float) -> Iterator[Story]:
    """The stories of one file of the corpus.

    Args:
        domain: The domain.
        split: The split.
        seed: The user's seed.
        scale: The size of the corpus, as a multiple of the standard one.

    Returns:
        The stories in order: for train as many as come closest to the domain's share in bytes.
    """
    stories = tell(domain, split, seed)
    if split == "train":
        return _up_to(stories, LARGEST_TRAIN * domain.share * scale)
    return itertools.islice(stories, max(LEAST_HELD_OUT, round(HELD_OUT * scale)))


def _up_to(stories: Iterator[Story], size: float) -> Iterator[Story]:
    first = next(stories)
    yield first
    total = len(first.text.encode())
    for story in stories:
        length = len(story.text.encode())
        if total + length / 2 > size:
            return
        total += length
        yield story


def write_corpus(out: Path, *, seed: int = 0, scale: float = 1.0) -> None:
    """Write the small built-in multilingual corpus: short stories in a dozen languages.

    Every language tells the same stories, in sizes from 2.5 MB (English) to 25 kB (Ukrainian), as
    OUT/LANGUAGE/SPLIT.jsonl.zst. The domain en-noisy is English with 30 % of its words spoilt, in
    its validation and test splits too. The same seed and scale always give the same texts.

    Args:
        out: Folder to write; new, empty, or one that this wrote before.
        seed: Another seed, other stories.
        scale: Size of the corpus, as a multiple of about 6 MB.

    Raises:
        ValueError: The scale is not a positive number, or the folder holds anything else.
    """
    if not (math.isfinite(scale) and scale > 0):
        raise ValueError(f"scale must be a positive number and is {scale}; try 1 or 0.1")
    out = out.resolve()
    partial, replaced = (out.with_name(f"{out.name}.{state}") for state in ("partial", "replaced"))
    for folder in (out, partial, replaced):
        _check_own(folder)
    for leftover in (partial, replaced):
        _remove(leftover)
    partial.mkdir(parents=True)
    _write_mark(partial, seed, scale)
    print(f"{'domain':<10}{'train':>9}{'bytes':>12}{'validation':>12}{'test':>7}")
    for domain in LANGUAGES:
        (partial / domain.code).mkdir()
        train, validation, test = (
            _write(partial / domain.code, split, stories_of(domain, split, seed, scale))
            for split in SPLITS
        )
        counts = f"{validation.stories:>12,}{test.stories:>7,}"
        print(f"{domain.code:<10}{train.stories:>9,}{train.size:>12,}{counts}")
    # An interruption from here on leaves no corpus under this name, never a part of one.
    if out.exists():
        out.rename(replaced)
    partial.rename(out)
    _remove(replaced)


class _Written(NamedTuple):
    stories: int
    size: int


def _write(folder: Path, split: str, stories: Iterable[Story]) -> _Written:
    count = size = 0
    compressor = zstandard.ZstdCompressor(level=ZSTD_LEVEL)
    with (
        (folder / f"{split}.jsonl.zst").open("wb") as file,
        compressor.stream_writer(file) as compressed,
    ):
        for story in stories:
            compressed.write(json.dumps(story._asdict(), ensure_ascii=False).encode() + b"\n")
            count += 1
            size += len(story.text.encode())
    return _Written(count, size)


def _write_mark(folder: Path, seed: int, scale: float) -> None:
    domains = [dataclasses.asdict(domain) for domain in LANGUAGES]
    mark = {"format": FORMAT, "version": VERSION, "seed": seed, "scale": scale, "domains": domains}
    (folder / MARK).write_text(json.dumps(mark, ensure_ascii=False, indent=1) + "\n", "utf-8")


def _check_own(folder: Path) -> None:
    """Refuse a folder with anything in it that this module did not write."""
    if not folder.exists():
        return
    if not folder.is_dir():
        raise ValueError(f"stories go to a folder and {folder} is a file; name another")
    if not _has_mark(folder):
        foreign = sorted(path.name for path in folder.iterdir())
    else:
        codes = {domain.code for domain in LANGUAGES}
        files = {f"{code}/{split}.jsonl.zst" for code in codes for split in SPLITS}
        there = {path.relative_to(folder).as_posix() for path in folder.rglob("*")}
        foreign = sorted(there - codes - files - {MARK})
    if foreign:
        raise ValueError(
            f"stories replace only what `glotmix stories` wrote and {folder} holds "
            f"{foreign[0]}; name an empty folder or a new one"
        )


def _remove(folder: Path) -> None:
    """Remove what this module wrote, the mark last: a part that is left can still be told."""
    if not folder.exists():
        return
    for path in folder.iterdir():
        if path.is_dir():
            shutil.rmtree(path)
    (folder / MARK).unlink(missing_ok=True)
    folder.rmdir()


def _has_mark(folder: Path) -> bool:
    try:
        mark = json.loads((folder / MARK).read_text("utf-8"))
    except (OSError, ValueError):
        return False
    return isinstance(mark, dict) and mark.get("format") == FORMAT
