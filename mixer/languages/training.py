"""`glotmix lid train`: a language identifier learnt from the names of the folders text lies in."""

from __future__ import annotations

import random
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from mixer.bpe import sample_texts
from mixer.indexed import partial_path
from mixer.languages.identifier import MIN_LETTERS, Identifier, one_line, require_fasttext
from mixer.languages.inspection import Tallies, agreement_table, inspect
from mixer.languages.model_file import PREFIX
from mixer.languages.prose import has_letters, paragraphs, without_code, without_identifiers
from mixer.sources import SourceFile, find_sources
from mixer.workers import Workers

SAMPLE_IN_ALL = 256 << 20
# Like lid.176, but single characters count too, which tell Chinese from Japanese, and there are
# fewer buckets: a model for a folder's few languages need not be large.
SETTINGS = {"dim": 16, "minn": 1, "maxn": 4, "minCount": 10, "bucket": 1 << 18, "lr": 0.5}


@dataclass(frozen=True)
class LearnModel:
    """The task of learning a model, for a process of its own.

    fastText with t threads sets only the first t tenths of its matrix and takes the rest of the
    memory as it is. In a process that has done nothing else that is zeros; in any other it is what
    was there before, now and then a NaN, and never twice the same.

    Attributes:
        lines: Text file of labelled lines in random order.
        path: The model to write.
        epochs: How often to read the lines.
        seed: Seed of the model.
        threads: Threads to use; with one the same lines and seed give the same model.
    """

    lines: Path
    path: Path
    epochs: int
    seed: int
    threads: int

    @property
    def label(self) -> str:
        return self.path.name

    @property
    def size(self) -> int:
        return self.lines.stat().st_size

    def run(self, report: Callable[[int], object]) -> None:
        """Learn the model and write it in one step."""
        import fasttext

        partial = partial_path(self.path)
        try:
            model = fasttext.train_supervised(
                str(self.lines),
                epoch=self.epochs,
                seed=self.seed,
                thread=self.threads,
                verbose=0,
                **SETTINGS,
            )
            model.save_model(str(partial))
            partial.replace(self.path)
        except RuntimeError as error:
            raise ValueError(
                f"fastText failed ({error}); try another seed or one thread"
            ) from error
        finally:
            partial.unlink(missing_ok=True)
        report(self.size)


def train(
    folder: Path,
    out: Path,
    *,
    seed: int = 0,
    threads: int = 1,
    megabytes: float = 2.0,
    epochs: int = 5,
    min_letters: int = MIN_LETTERS,
) -> Tallies:
    """Train a fastText model to tell the languages of a folder apart, by the folder's own labels.

    It learns from paragraphs drawn at random from the train splits, and is tried on the validation
    splits. Paragraphs that occur in several languages are left out: there, none of the labels can
    be trusted.

    Args:
        folder: Holds one folder per language, as for `glotmix prepare`.
        out: The model to write, a .bin file.
        seed: Seed of the sample and of the model.
        threads: More than one is faster, and no two models are then the same.
        megabytes: Text to learn from, for each language at most; less with more than 128 of them.
        epochs: How often to read it.
        min_letters: Paragraphs with fewer letters, code not counted, are left out.

    Returns:
        What the model makes of the validation splits, by level and language.

    Raises:
        ValueError: The text or an option is not as it must be; says what to do.
    """
    require_fasttext()
    _check(megabytes, threads, epochs, min_letters)
    sources, remarks = find_sources(folder)
    by_split = {
        split: [source for source in sources if source.split == split]
        for split in ("train", "validation")
    }
    if len(by_split["train"]) < 2:
        raise ValueError(f"{folder} must hold at least two languages to tell apart, got one")
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="glotmix-lid-") as scratch:
        lines = Path(scratch) / "lines.txt"
        budget = int(min(megabytes * 1e6, SAMPLE_IN_ALL / len(by_split["train"])))
        _write_lines(lines, by_split["train"], budget, seed, min_letters)
        with Workers(1) as workers:
            task = LearnModel(lines, out, epochs, seed, threads)
            if failures := workers.run([task], "learn"):
                raise ValueError(failures[0][1])
    own = {source.domain: frozenset([source.domain]) for source in sources}
    tallies = inspect(by_split["validation"], Identifier(out, min_letters), own)
    print(agreement_table(tallies) if by_split["validation"] else "no validation split to try on")
    for remark in remarks:
        print(remark)
    print(f"{out} written")
    return tallies


def _check(megabytes: float, threads: int, epochs: int, min_letters: int) -> None:
    if not megabytes > 0:
        raise ValueError(f"megabytes must be positive, got {megabytes}")
    for name, number in (("threads", threads), ("epochs", epochs), ("min_letters", min_letters)):
        if number < 1:
            raise ValueError(f"{name} must be at least 1, got {number}")


def _write_lines(
    path: Path, sources: Sequence[SourceFile], budget: int, seed: int, min_letters: int
) -> None:
    """Write labelled paragraphs in random order, as one pass of gradient descent needs them.

    Raises:
        ValueError: A language has none.
    """
    labels: dict[str, str | None] = {}
    for source in sources:
        for text in sample_texts(source, budget, f"{seed}/{source.domain}"):
            for paragraph in paragraphs(without_code(text)):
                prose = without_identifiers(paragraph.text)
                if has_letters(prose, min_letters):
                    line = one_line(prose)
                    label = source.domain
                    labels[line] = label if labels.get(line, label) == label else None
    if missing := {source.domain for source in sources} - set(labels.values()):
        raise ValueError(
            f"{', '.join(sorted(missing))} must have paragraphs of {min_letters} letters that no "
            "other language has, got none; lower min_letters, or leave the language out"
        )
    lines = [f"{PREFIX}{label} {line}" for line, label in labels.items() if label is not None]
    random.Random(seed).shuffle(lines)
    with path.open("w", encoding="utf-8") as file:
        file.writelines(lines)
