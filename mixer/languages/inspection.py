"""`glotmix lid check`: how much of each folder is really in its language."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

from mixer.documents import Document, read_documents
from mixer.indexed import partial_path
from mixer.languages.columns import columns
from mixer.languages.identifier import MIN_LETTERS, Identifier
from mixer.languages.labels import labels_of
from mixer.languages.prose import paragraphs, without_code
from mixer.languages.tally import Tally
from mixer.manifest import SPLITS
from mixer.quarantine import Quarantine
from mixer.sources import SourceFile, find_sources

LEVELS = DOCUMENTS, PARAGRAPHS = ("documents", "paragraphs")
HEAD: tuple[str, ...] = (
    "domain",
    "judged",
    "in its language",
    "of bytes",
    "mean score",
    "undecided",
    "most taken for",
)
MOST_TOLD = 3
# By level, then by domain.
Tallies = dict[str, dict[str, Tally]]


def check(
    folder: Path,
    model: Path,
    *,
    split: str = "train",
    paragraphs: bool = False,
    labels: dict[str, str] | None = None,
    min_letters: int = MIN_LETTERS,
    megabytes: float | None = None,
    out: Path | None = None,
) -> Tallies:
    """Show how much of each folder is really in its language.

    Args:
        folder: Holds one folder per language, as for `glotmix prepare`.
        model: A fastText model, .bin or .ftz: of `glotmix lid train`, lid.176, GlotLID.
        split: The split to look at.
        paragraphs: Look at every line of the documents too, for what was left untranslated.
        labels: The model's label for a folder, where its name does not tell: --labels.de deu_Latn,
            several joined by a plus sign.
        min_letters: Text with fewer letters, code not counted, is called undecided.
        megabytes: Look at the first so many of each file's text; at all of it if not given.
        out: JSON file for all the counts.

    Returns:
        The counts, by level and domain.

    Raises:
        ValueError: The text, the model or an option is not as it must be; says what to do.
    """
    if split not in SPLITS:
        raise ValueError(f"split must be one of {', '.join(SPLITS)}, got {split!r}")
    if megabytes is not None and not megabytes > 0:
        raise ValueError(f"megabytes must be positive, got {megabytes}; leave it out to see all")
    found, remarks = find_sources(folder)
    sources = [source for source in found if source.split == split]
    if not sources:
        raise ValueError(f"{folder} has no {split} split in any language; choose another split")
    identifier = Identifier(model, min_letters)
    own = labels_of([source.domain for source in sources], identifier.labels, labels)
    levels = LEVELS if paragraphs else LEVELS[:1]
    budget = None if megabytes is None else int(megabytes * 1e6)
    tallies = inspect(sources, identifier, own, levels, budget)
    print(agreement_table(tallies))
    for remark in remarks:
        print(remark)
    if out is not None:
        _save(out, folder, model, split, own, tallies)
    return tallies


def inspect(
    sources: Sequence[SourceFile],
    identifier: Identifier,
    own: Mapping[str, Collection[str]],
    levels: Sequence[str] = LEVELS,
    budget: int | None = None,
) -> Tallies:
    """Judge the text of some files.

    Args:
        sources: At most one per domain.
        identifier: Who judges.
        own: The labels of each domain's language.
        levels: What to judge, some of ``LEVELS``.
        budget: Stop in each file after so many bytes of text.

    Returns:
        A tally for each level and domain.
    """
    tallies: Tallies = {level: {source.domain: Tally() for source in sources} for level in levels}
    for source in sources:
        expected = own[source.domain]
        seen = 0
        # Bad documents are for `glotmix prepare` to tell of.
        for document in read_documents(source.path, Quarantine(source.label, max_bad_fraction=1)):
            if DOCUMENTS in tallies:
                verdict = identifier.judge(without_code(document.text), expected)
                tallies[DOCUMENTS][source.domain].add(verdict, document.num_bytes)
            if PARAGRAPHS in tallies:
                _add_paragraphs(document, identifier, expected, tallies[PARAGRAPHS][source.domain])
            seen += document.num_bytes
            if budget is not None and seen >= budget:
                break
    return tallies


def _add_paragraphs(
    document: Document, identifier: Identifier, expected: Collection[str], tally: Tally
) -> None:
    for text, is_code in paragraphs(document.text):
        if text.strip():
            verdict = None if is_code else identifier.judge(text, expected)
            tally.add(verdict, len(text.encode()))


def agreement_table(tallies: Tallies) -> str:
    """A table per level, a row per domain."""
    return "\n".join(
        columns([(level, *HEAD[1:])] + [_row(name, tally) for name, tally in by_domain.items()])
        for level, by_domain in tallies.items()
    )


def _row(name: str, tally: Tally) -> tuple[str, ...]:
    return (
        name,
        f"{tally.judged:,}",
        f"{tally.agreement:.1%}" if tally.judged else "-",
        f"{tally.agreement_bytes:.1%}" if tally.judged else "-",
        f"{tally.mean_score:.3f}" if tally.judged else "-",
        f"{tally.undecided:,}",
        ", ".join(f"{label} {n:,}" for label, n in tally.taken_for.most_common(MOST_TOLD)),
    )


def _save(
    out: Path,
    folder: Path,
    model: Path,
    split: str,
    own: Mapping[str, Collection[str]],
    tallies: Tallies,
) -> None:
    record = {
        "folder": str(folder),
        "model": str(model),
        "split": split,
        "labels": {name: sorted(labels) for name, labels in own.items()},
        "levels": {
            level: {name: vars(tally) for name, tally in by_domain.items()}
            for level, by_domain in tallies.items()
        },
    }
    out.parent.mkdir(parents=True, exist_ok=True)
    partial = partial_path(out)
    partial.write_text(json.dumps(record, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
    partial.replace(out)
