"""The file that `glotmix prepare --pipeline` is given."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml  # type: ignore[import-untyped]

from mixer.manifest import SPLITS, check_domain_name
from mixer.pipeline.blocks import ARGUMENTS, CLASS, Spec, check_spec
from mixer.pipeline.deduplication import Deduplication
from mixer.quarantine import check_fraction
from mixer.tokenizers import BYTE

LOCAL = {CLASS: "datatrove.executor.LocalPipelineExecutor", ARGUMENTS: {"workers": 1}}
KEYS = (
    "domains",
    "splits",
    "reader",
    "steps",
    "deduplicate",
    "columns",
    "tokenizer",
    "end_of_document",
    "tasks",
    "max_bad_fraction",
    "executor",
)
OF_DOMAIN = ("reader", "steps", "tasks")


@dataclass(frozen=True)
class Lane:
    """One split of one domain on its way through the pipeline.

    Attributes:
        domain: Name of the domain.
        split: One of ``SPLITS``.
        reader: Where its documents come from.
        steps: What they go through.
        tasks: How many tasks share it.
    """

    domain: str
    split: str
    reader: Spec
    steps: tuple[Spec, ...]
    tasks: int

    @property
    def label(self) -> str:
        return f"{self.domain}/{self.split}"

    @property
    def values(self) -> dict[str, str]:
        """What ``{domain}`` and ``{split}`` in the configuration stand for."""
        return {"domain": self.domain, "split": self.split}


@dataclass(frozen=True, kw_only=True)
class Configuration:
    """What the file says.

    Attributes:
        lanes: The splits of all domains, in order; some may turn out to be absent.
        deduplication: How duplicates are found.
        columns: Numbers in the documents' metadata that are kept beside the shards.
        tokenizer: ``byte``, or a ``tokenizer.json`` or a folder that has one.
        end_of_document: Name of the token that closes a document; None for the usual ones.
        max_bad_fraction: Largest share of bad documents to put up with.
        executor: What runs the tasks.
    """

    lanes: tuple[Lane, ...]
    deduplication: Deduplication
    columns: tuple[str, ...]
    tokenizer: str
    end_of_document: str | None
    max_bad_fraction: float
    executor: Spec

    @classmethod
    def load(cls, path: Path) -> Configuration:
        """Read a configuration.

        Raises:
            ValueError: It is missing, is no YAML, or says something that cannot be.
        """
        if not path.is_file():
            raise ValueError(f"{path} does not exist; name the YAML file of a pipeline")
        try:
            document = yaml.safe_load(path.read_text(encoding="utf-8"))
        except (yaml.YAMLError, ValueError) as error:
            raise ValueError(f"{path} is not YAML: {' '.join(str(error).split())}") from error
        try:
            return cls.of(document)
        except ValueError as error:
            raise ValueError(f"{path}: {error}") from error

    @classmethod
    def of(cls, document: object) -> Configuration:
        """Understand what a file holds."""
        if not isinstance(document, Mapping):
            raise ValueError(f"a pipeline must be a mapping of {', '.join(KEYS)}")
        _check_keys(document, KEYS, "a pipeline")
        fraction = document.get("max_bad_fraction", 0.01)
        check_fraction(fraction)
        tokenizer = document.get("tokenizer", BYTE)
        if not isinstance(tokenizer, str) or tokenizer.startswith("bpe:"):
            raise ValueError(
                f"tokenizer must be '{BYTE}' or the path of a tokenizer.json, got {tokenizer!r}; "
                "`glotmix prepare FOLDER --tokenizer bpe:VOCAB` learns one from a folder of text"
            )
        return cls(
            lanes=_lanes(document),
            deduplication=Deduplication.of(document.get("deduplicate")),
            columns=_names(document.get("columns", []), "columns"),
            tokenizer=tokenizer,
            end_of_document=document.get("end_of_document"),
            max_bad_fraction=fraction,
            executor=check_spec(document.get("executor", LOCAL), "executor"),
        )

    def recipe(self, lane: Lane) -> dict[str, Any]:
        """All that decides what becomes of a lane's documents, apart from the documents."""
        return {
            "lane": dataclasses.asdict(lane),
            "deduplication": self.deduplication.to_dict(),
            "columns": list(self.columns),
            "max_bad_fraction": self.max_bad_fraction,
        }


def _check_keys(document: Mapping[str, Any], known: tuple[str, ...], what: str) -> None:
    if unknown := set(document) - set(known):
        raise ValueError(f"{what} has no {sorted(map(str, unknown))}; it has {', '.join(known)}")


def _lanes(document: Mapping[str, Any]) -> tuple[Lane, ...]:
    splits = _names(document.get("splits", list(SPLITS)), "splits")
    if not splits or set(splits) - set(SPLITS):
        raise ValueError(f"splits must be some of {', '.join(SPLITS)}, got {list(splits)}")
    lanes: list[Lane] = []
    for domain, own in _domains(document.get("domains")).items():
        check_domain_name(domain)
        _check_keys(own, OF_DOMAIN, f"domains.{domain}")
        said = {key: document[key] for key in OF_DOMAIN if key in document} | dict(own)
        if "reader" not in said:
            raise ValueError(f"{domain} has no reader; give it one, or one for all domains")
        reader = check_spec(said["reader"], "reader")
        steps = said.get("steps") or []
        if not isinstance(steps, list):
            raise ValueError(f"steps must be a list, got {steps!r}")
        specs = tuple(check_spec(step, f"steps[{at}]") for at, step in enumerate(steps))
        tasks = said.get("tasks", 1)
        if not isinstance(tasks, int) or tasks < 1:
            raise ValueError(f"tasks must be a number of at least 1, got {tasks!r}")
        lanes += [Lane(domain, split, reader, specs, tasks) for split in SPLITS if split in splits]
    return tuple(lanes)


def _domains(said: object) -> dict[str, Mapping[str, Any]]:
    """Names with what is said of each alone; a pattern stands for the folders it matches."""
    if isinstance(said, str):
        pattern = Path(said).expanduser()
        found = sorted(
            path.name
            for path in pattern.parent.glob(pattern.name)
            if path.is_dir() and not path.name.startswith(".")
        )
        if not found:
            raise ValueError(f"domains: no folder is matched by {said!r}")
        return {name: {} for name in found}
    if isinstance(said, Mapping) and said:
        return {str(name): own or {} for name, own in said.items()}
    names = _names(said, "domains")
    if not names:
        raise ValueError("domains must be a pattern of folders, a list of names, or a mapping")
    return {name: {} for name in names}


def _names(said: object, where: str) -> tuple[str, ...]:
    if not isinstance(said, list) or not all(isinstance(name, str) for name in said):
        raise ValueError(
            f"{where} must be a list of names, got {said!r}; put those that YAML takes for "
            "something else, as no, into quotes"
        )
    if len(set(said)) < len(said):
        raise ValueError(f"{where} must name everything once, got {said}")
    return tuple(said)
