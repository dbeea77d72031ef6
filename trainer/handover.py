"""``glotmix export``: the mixture a run learned, in the form that another tool reads."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import yaml  # type: ignore[import-untyped]

from mixer.corpus import Corpus
from mixer.indexed import partial_path
from mixer.manifest import FILE_NAME as MANIFEST_NAME
from trainer.handover_forms import FORMS, Handover
from trainer.learned_mixture import WHICH, Stages, averaged, read_mixture, summing_to_one
from trainer.summary import load_summary

CONFIGURATION = "config.yaml"
ROWS = ("sequences", "documents")


def export(
    run_dir: Path,
    to: str,
    mixture: str = "mean",
    out: Path | None = None,
    *,
    rows: str = "sequences",
    stages: int | None = None,
    corpus: Path | None = None,
) -> None:
    """Write the mixture that a run learned in the form that another tool reads.

    Args:
        run_dir: Folder of the run, finished or under way.
        to: Who shall read it: megatron, megatron-splits, litdata, mosaic, huggingface, olmo,
            nanotron, or json for a plain document with everything.
        mixture: The run's mean mixture, its last one, or its schedule over steps.
        out: File to write; printed if not given.
        rows: What the other tool draws by these weights: sequences of one length, or documents as
            long as they come.
        stages: Mixtures of a schedule, each the mean over an equal stretch of the run; all that
            were logged if not given.
        corpus: Where the run's corpus lies; as its config.yaml says if not given.

    Raises:
        ValueError: There is no such run, form or corpus, or the form cannot say this mixture.
    """
    _check(to, mixture, rows, stages)
    summary = load_summary(run_dir)
    learned = read_mixture(run_dir, summary, mixture)
    if stages is not None:
        learned = averaged(learned, summary["max_steps"], stages)
    settings = _data_settings(run_dir)
    whole = _open_corpus(run_dir, settings, corpus, list(summary["domains"]))
    opened, learned = _with_weight(whole, learned, rows)
    run = {
        "run": str(run_dir),
        "policy": summary["policy"],
        "step": summary["step"],
        "max_steps": summary["max_steps"],
        "mixture": mixture,
    }
    if not summary["finished"]:
        _note(f"{run_dir} is at step {summary['step']} of {summary['max_steps']}")
    text = FORMS[to].text(
        Handover(
            run=run,
            corpus=opened,
            rows=rows,
            stages=learned,
            tokens_per_step=settings["batch_size"] * settings["sequence_length"],
            max_steps=summary["max_steps"],
        )
    )
    _write(text, out)


def _check(to: str, mixture: str, rows: str, stages: int | None) -> None:
    """Refuse what no form, or not this one, can say."""
    for name, value, known in (("to", to, tuple(FORMS)), ("mixture", mixture, WHICH)):
        if value not in known:
            raise ValueError(f"{name} must be one of {', '.join(known)}, got {value!r}")
    if rows not in ROWS:
        raise ValueError(f"rows must be one of {', '.join(ROWS)}, got {rows!r}")
    if mixture == "schedule" and not FORMS[to].stages:
        raise ValueError(
            f"--to {to} has one mixture for a whole run; ask for --mixture mean or last, or for "
            f"one of {', '.join(name for name, form in FORMS.items() if form.stages)}"
        )
    if stages is not None and mixture != "schedule":
        raise ValueError(f"stages are those of --mixture schedule, got --mixture {mixture}")
    if rows not in FORMS[to].rows:
        raise ValueError(
            f"--to {to} draws {FORMS[to].rows[0]} of one length; leave --rows {rows} away"
        )


def _data_settings(run_dir: Path) -> dict[str, Any]:
    """How the run read its corpus."""
    path = run_dir / CONFIGURATION
    try:
        settings = yaml.safe_load(path.read_text(encoding="utf-8"))["data"]
        return {key: settings[key] for key in ("corpus", "batch_size", "sequence_length")}
    except (OSError, yaml.YAMLError, KeyError, TypeError) as error:
        reason = " ".join(str(error).split())
        raise ValueError(f"{path} must be the configuration of a run: {reason}") from error


def _open_corpus(
    run_dir: Path, settings: dict[str, Any], moved: Path | None, names: list[str]
) -> Corpus:
    folder = Path(settings["corpus"]) if moved is None else moved
    if not (folder / MANIFEST_NAME).is_file():
        raise ValueError(
            f"the corpus of {run_dir} must lie in {folder}, where there is no {MANIFEST_NAME}; "
            "name its folder by --corpus, or run this where the run was started"
        )
    return Corpus(folder, names)


def _with_weight(corpus: Corpus, learned: Stages, rows: str) -> tuple[Corpus, Stages]:
    """The domains that have weight, and their weights as shares of what is drawn."""
    weights = learned.weights
    if rows == "documents":
        weights = weights * [entry.documents / entry.tokens for entry in corpus.entries("train")]
        weights /= weights.sum(axis=1, keepdims=True)
    weights = summing_to_one(weights)
    used = np.flatnonzero(weights.any(axis=0))
    names = [corpus.names[number] for number in used]
    if len(names) < len(corpus.names):
        _note(f"left out, without weight: {', '.join(sorted(set(corpus.names) - set(names)))}")
    return Corpus(corpus.folder, names), Stages(learned.steps, weights[:, used])


def _note(text: str) -> None:
    # Not on the standard output, which may be the mixture.
    print(f"glotmix export: {text}", file=sys.stderr)


def _write(text: str, out: Path | None) -> None:
    if out is None:
        print(text, end="")
        return
    partial = partial_path(out)
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        partial.write_text(text, encoding="utf-8")
        partial.replace(out)
    except OSError as error:
        raise ValueError(f"out must be a file that can be written: {error}") from error
