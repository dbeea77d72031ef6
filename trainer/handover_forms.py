"""How other tools write a mixture down: one function per form, from a `Handover` to a text.

Read in the sources of Megatron-LM, LitData, MosaicML Streaming, Datasets, OLMo-core and Nanotron.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import yaml  # type: ignore[import-untyped]

from mixer.corpus import Corpus
from mixer.indexed import TokenShard
from mixer.manifest import SplitEntry
from trainer.learned_mixture import Stages

FORMAT = "glotmix-mixture"


@dataclass(frozen=True, kw_only=True)
class Handover:
    """A mixture and what it is a mixture of.

    Attributes:
        run: What to call the run: its folder, policy, steps, and which of its mixtures this is.
        corpus: The run's corpus; only domains that have weight.
        rows: What the weights are shares of: "sequences" (as good as tokens) or "documents".
        stages: The mixture, or one for each stretch of the run; they sum to one exactly.
        tokens_per_step: Tokens of an optimiser step of the run.
        max_steps: Optimiser steps of the run.
    """

    run: dict[str, Any]
    corpus: Corpus
    rows: str
    stages: Stages
    tokens_per_step: int
    max_steps: int

    @property
    def names(self) -> tuple[str, ...]:
        return self.corpus.names

    @property
    def weights(self) -> list[float]:
        """The one mixture, or the first."""
        weights: list[float] = self.stages.weights[0].tolist()
        return weights

    @property
    def by_step(self) -> dict[int, list[float]]:
        """All mixtures by the step from which they hold."""
        return dict(zip(self.stages.steps.tolist(), self.stages.weights.tolist(), strict=True))

    @property
    def entries(self) -> list[SplitEntry]:
        return self.corpus.entries("train")

    @property
    def folders(self) -> list[str]:
        """Where each domain's training data lies: its shard without the endings.

        In tools that read folders, the folder of that name.
        """
        return [self.path(entry) for entry in self.entries]

    def path(self, entry: SplitEntry) -> str:
        # Not resolved: a corpus may be a link so that it can move.
        return str(self.corpus.folder.absolute() / entry.prefix)


class Form(NamedTuple):
    """How a tool takes a mixture.

    Attributes:
        text: Writes it down.
        rows: What its weights may be shares of.
        stages: Whether it knows mixtures that change during a run.
    """

    text: Callable[[Handover], str]
    rows: tuple[str, ...] = ("sequences",)
    stages: bool = False


def megatron(handover: Handover) -> str:
    """Pairs of weight and prefix, the file of ``--data-args-path``.

    Raises:
        ValueError: A path has white space, at which Megatron would split it.
    """
    lines = []
    for weight, prefix in zip(handover.weights, handover.folders, strict=True):
        if any(map(str.isspace, prefix)):
            raise ValueError(
                f"paths must have no white space, at which Megatron splits this form, got "
                f"{prefix!r}; export --to megatron-splits, which may have it"
            )
        lines.append(f"{weight!r} {prefix}\n")
    return "".join(lines)


def megatron_splits(handover: Handover) -> str:
    """The JSON of ``--per-split-data-args-path``; held-out splits count all domains alike."""
    held_out = {
        key: _blend(handover, split) for key, split in (("valid", "validation"), ("test", "test"))
    }
    train = _pairs(handover.weights, handover.folders)
    return _json({"train": train, **held_out})


def _blend(handover: Handover, split: str) -> list[str] | None:
    """A held-out split's equal parts; None if no domain has it."""
    domains = handover.corpus.manifest.domains
    have = [domains[name][split] for name in handover.names if split in domains[name]]
    return _pairs([1.0] * len(have), [handover.path(entry) for entry in have]) or None


def _pairs(weights: Sequence[float], prefixes: Sequence[str]) -> list[str]:
    pairs = zip(map(repr, weights), prefixes, strict=True)
    return [word for pair in pairs for word in pair]


def litdata(handover: Handover) -> str:
    """Folders of LitData, and the arguments of ``CombinedStreamingDataset``."""
    arguments = {"weights": handover.weights, "iterate_over_all": False}
    return _json({**_source(handover), "input_dirs": handover.folders, **arguments})


def huggingface(handover: Handover) -> str:
    """Folders of Datasets, and the arguments of ``interleave_datasets``."""
    # By default it stops as soon as the smallest domain is used up.
    arguments = {"probabilities": handover.weights, "stopping_strategy": "all_exhausted"}
    return _json({**_source(handover), "data_dirs": handover.folders, **arguments})


def _source(handover: Handover) -> dict[str, Any]:
    return {
        "from": handover.run,
        "shares_of": handover.rows,
        "domains": list(handover.names),
    }


def mosaic(handover: Handover) -> str:
    """The ``streams`` of an LLM Foundry data set: for each domain the arguments of a ``Stream``."""
    streams = {
        name: {"local": folder, "proportion": weight}
        for name, folder, weight in zip(
            handover.names, handover.folders, handover.weights, strict=True
        )
    }
    return _yaml(handover, {"streams": streams})


def olmo(handover: Handover) -> str:
    """OLMo-core's ``SourceMixtureList``; its token files are those of Megatron without an index.

    Repetition is refused there unless allowed: it is, as far as the run itself would have repeated.
    """
    budget = handover.tokens_per_step * handover.max_steps
    sources = [
        {
            "source_name": name,
            "target_ratio": weight,
            "paths": [f"{handover.path(entry)}.bin"],
            "max_repetition_ratio": max(1.0, math.ceil(100 * weight * budget / entry.tokens) / 100),
        }
        for name, weight, entry in zip(
            handover.names, handover.weights, handover.entries, strict=True
        )
    ]
    return _yaml(handover, {"sources": sources}, f"repetition as in {budget} tokens")


def nanotron(handover: Handover) -> str:
    """Nanotron's ``data_stages``, whose first step is called 1."""
    shard = TokenShard.open(Path(handover.folders[0]))
    dataset = {
        "dataset_folder": handover.folders,
        "token_size_in_bytes": shard.tokens.dtype.itemsize,
        "vocab_size": handover.corpus.manifest.vocab_size,
    }
    stages = [
        {
            "name": f"step {step + 1}",
            "start_training_step": step + 1,
            "data": {"dataset": dataset | {"dataset_weights": weights}},
        }
        for step, weights in handover.by_step.items()
    ]
    return _yaml(handover, {"data_stages": stages})


def plain(handover: Handover) -> str:
    """Everything, as JSON; ``weights`` are what the policy ``Fixed`` takes."""
    mixtures = {
        step: dict(zip(handover.names, weights, strict=True))
        for step, weights in handover.by_step.items()
    }
    changing = handover.run["mixture"] == "schedule"
    domains = {
        name: {
            "prefix": handover.path(entry),
            "tokens": entry.tokens,
            "bytes": entry.bytes,
            "documents": entry.documents,
        }
        for name, entry in zip(handover.names, handover.entries, strict=True)
    }
    return _json(
        {
            "format": FORMAT,
            "version": 1,
            "from": handover.run,
            "tokens_per_step": handover.tokens_per_step,
            "shares_of": handover.rows,
            "weights": mixtures if changing else mixtures[0],
            "domains": domains,
        }
    )


FORMS = {
    "megatron": Form(megatron),
    "megatron-splits": Form(megatron_splits),
    "litdata": Form(litdata, ("sequences", "documents")),
    "mosaic": Form(mosaic, ("sequences", "documents")),
    "huggingface": Form(huggingface, ("sequences", "documents")),
    "olmo": Form(olmo),
    "nanotron": Form(nanotron, stages=True),
    "json": Form(plain, ("sequences", "documents"), stages=True),
}


def _json(document: dict[str, Any]) -> str:
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


class _Dumper(yaml.SafeDumper):  # type: ignore[misc]
    """Writes what occurs twice twice: not every reader knows anchors."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def _yaml(handover: Handover, document: dict[str, Any], remark: str = "") -> str:
    text: str = yaml.dump(document, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=1000)
    facts = [f"{key} {json.dumps(value)}" for key, value in handover.run.items()]
    facts += [f"shares of {handover.rows}", *([remark] if remark else [])]
    return f"# glotmix: {', '.join(facts)}\n{text}"
