"""`glotmix lid filter`: text in another language than its folder's is set aside."""

from __future__ import annotations

import dataclasses
import itertools
import json
import math
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from mixer.indexed import PARTIAL_FILES, partial_path
from mixer.languages.columns import columns
from mixer.languages.filter_file import FOLDER, FilterFile
from mixer.languages.filter_receipts import Counts, FilterReceipt
from mixer.languages.filter_rule import Rule
from mixer.languages.identifier import MIN_LETTERS, Identifier
from mixer.languages.labels import labels_of
from mixer.lock import locked
from mixer.quarantine import check_fraction
from mixer.sources import find_sources
from mixer.workers import Workers

REPORT = "languages.json"
MOST_TOLD = 3
HEAD: tuple[str, ...] = (
    "domain",
    "documents",
    "kept",
    "shortened",
    "removed",
    "MB removed",
    "paragraphs removed",
    "undecided",
    "bad",
    "most taken for",
)


def filter_text(
    folder: Path,
    model: Path,
    out: Path,
    removed: Path,
    *,
    threshold: float = 0.5,
    thresholds: dict[str, float] | None = None,
    paragraphs: bool = False,
    labels: dict[str, str] | None = None,
    min_letters: int = MIN_LETTERS,
    workers: int = 1,
    max_bad_fraction: float = 0.01,
) -> dict[str, Counts]:
    """Set text aside that is not in the language of its folder.

    All splits are filtered. What is kept has the layout, the file names and the fields it had. It
    gets its place only when every file is done; interrupted, run the same command again to go on.

    Args:
        folder: Holds one folder per language, as for `glotmix prepare`.
        model: A fastText model, .bin or .ftz: of `glotmix lid train`, lid.176, GlotLID.
        out: Folder for what is kept.
        removed: Folder for what is not, with its score, what it was taken for, and where it stood.
        threshold: Least probability of its language that text must have, from 0 to 1.
        thresholds: The threshold of single languages: --thresholds.de 0.6.
        paragraphs: Judge every line of a document, not the whole of it.
        labels: The model's label for a folder, where its name does not tell: --labels.de deu_Latn,
            several joined by a plus sign.
        min_letters: Text with fewer letters, code not counted, is kept.
        workers: Processes to use; each loads the model.
        max_bad_fraction: Stop at a file of which a larger share of documents cannot be read. Those
            that are put up with are listed in REMOVED/DOMAIN/SPLIT.quarantine.jsonl.

    Returns:
        What became of the text, by domain.

    Raises:
        ValueError: The text, the model or an option is not as it must be; says what to do.
    """
    if workers < 1:
        raise ValueError(f"workers must be at least 1, got {workers}")
    check_fraction(max_bad_fraction)
    sources, remarks = find_sources(folder)
    names = list(dict.fromkeys(source.domain for source in sources))
    least = _thresholds(names, threshold, thresholds or {})
    _check_folders(folder, out, removed, names)
    identifier = Identifier(model, min_letters)
    own = labels_of(names, identifier.labels, labels)
    fingerprint = identifier.fingerprint()
    rules = {
        name: Rule(
            model=model,
            fingerprint=fingerprint,
            labels=tuple(sorted(own[name])),
            threshold=least[name],
            paragraphs=paragraphs,
            min_letters=min_letters,
        )
        for name in names
    }
    tasks = [
        FilterFile(source, out, removed, rules[source.domain], max_bad_fraction)
        for source in sources
    ]
    try:
        with locked(out / FOLDER), locked(removed / FOLDER):
            counts = _run(tasks, workers)
            _save_report(removed / REPORT, rules, counts)
    except OSError as error:
        raise ValueError(f"{out} or {removed} cannot be written to: {error}") from error
    print(counts_table(counts))
    for remark in remarks:
        print(remark)
    print(f"kept in {out}; removed, with scores and {REPORT}, in {removed}")
    return counts


def _thresholds(
    names: Sequence[str], threshold: float, single: Mapping[str, float]
) -> dict[str, float]:
    if strangers := sorted(set(single) - set(names)):
        raise ValueError(
            f"thresholds name {', '.join(strangers)}; the folders are {', '.join(names)}"
        )
    found = {name: single.get(name, threshold) for name in names}
    for name, value in found.items():
        if not (math.isfinite(value) and 0 <= value <= 1):
            raise ValueError(f"threshold must be from 0 to 1, got {value} for {name}")
    return found


def _check_folders(folder: Path, out: Path, removed: Path, names: Sequence[str]) -> None:
    """Refuse folders within each other, and those that hold what this would not have written."""
    places = [path.resolve() for path in (folder, out, removed)]
    for one, other in itertools.combinations(places, 2):
        if one == other or one in other.parents or other in one.parents:
            raise ValueError(
                "folder, out and removed must lie beside each other, got "
                f"{folder}, {out}, {removed}"
            )
    for place in (out, removed):
        visible = {path.name for path in place.glob("[!.]*")}
        if strangers := sorted(visible - {*names, REPORT}):
            raise ValueError(
                f"{place} holds {', '.join(strangers[:MOST_TOLD])}, which {folder} has not; choose "
                "an empty folder"
            )


def _run(tasks: Sequence[FilterFile], workers: int) -> dict[str, Counts]:
    """Do what is not done yet, then move all of it to where it belongs.

    Raises:
        ValueError: Some files cannot be filtered; names them. The others are done.
    """
    for folder in (tasks[0].out, tasks[0].removed):
        for path in (folder / FOLDER).rglob(PARTIAL_FILES):
            path.unlink()
    due = [task for task in tasks if task.receipt() is None]
    if kept := len(tasks) - len(due):
        print(f"{kept} of {len(tasks)} files were filtered before and are kept", file=sys.stderr)
    if due:
        due.sort(key=lambda task: -task.size)
        with Workers(0 if workers == 1 else min(workers, len(due))) as pool:
            failures = pool.run(due, "filter")
        if failures:
            told = "; ".join(reason for _, reason in failures[:MOST_TOLD])
            raise ValueError(
                f"{len(failures)} of {len(tasks)} files could not be filtered (what is finished is "
                f"kept): {told}"
            )
    receipts = [(task, _found(task)) for task in tasks]
    counts: dict[str, Counts] = {}
    for task, receipt in receipts:
        task.finish(receipt)
        counts.setdefault(task.source.domain, Counts()).add(receipt.counts)
    return counts


def _found(task: FilterFile) -> FilterReceipt:
    receipt = task.receipt()
    if receipt is None:
        raise ValueError(f"what was written for {task.label} has vanished; run again")
    return receipt


def _save_report(path: Path, rules: Mapping[str, Rule], counts: Mapping[str, Counts]) -> None:
    record = {
        name: {"labels": rule.labels, "threshold": rule.threshold}
        | dataclasses.asdict(counts[name])
        for name, rule in rules.items()
    }
    partial = partial_path(path)
    partial.write_text(json.dumps(record, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
    partial.replace(path)


def counts_table(counts: Mapping[str, Counts]) -> str:
    """One row per domain and a last one for all."""
    everything = Counts()
    for of_domain in counts.values():
        everything.add(of_domain)
    return columns(
        [HEAD, *(_row(name, of) for name, of in counts.items()), _row("all", everything)]
    )


def _row(name: str, counts: Counts) -> tuple[str, ...]:
    most = sorted(counts.taken_for.items(), key=lambda item: -item[1])[:MOST_TOLD]
    return (
        name,
        f"{counts.documents:,}",
        f"{counts.kept:,}",
        f"{counts.shortened:,}",
        f"{counts.removed:,}",
        f"{counts.removed_bytes / 1e6:,.2f}",
        f"{counts.removed_paragraphs:,} of {counts.paragraphs:,}" if counts.paragraphs else "-",
        f"{counts.undecided:,}",
        f"{sum(counts.quarantined.values()):,}",
        ", ".join(f"{label} {number:,}" for label, number in most),
    )
