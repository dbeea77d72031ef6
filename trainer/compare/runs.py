"""The runs of a comparison: their configurations, and what is left to do of each."""

from __future__ import annotations

import copy
import json
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias

from trainer.checkpoints import newest_checkpoint, steps_done
from trainer.compare.last_step import ValidateLastStep
from trainer.compare.settings import Document
from trainer.compare.stopwatch import Stopwatch
from trainer.summary import FILE_NAME, load_summary, write_json

CONFIGURATION, LOG = "fit.json", "fit.log"

Stage: TypeAlias = Literal["new", "begun", "finished"]


@dataclass(frozen=True)
class Run:
    """One run of ``glotmix fit`` in a folder of its own.

    Attributes:
        name: What to call it in messages.
        folder: Its run_dir, which also holds its configuration and what it prints.
        document: Its configuration.
    """

    name: str
    folder: Path
    document: Document

    @property
    def log(self) -> Path:
        return self.folder / LOG

    def stage(self) -> Stage:
        """How far it has come.

        Raises:
            ValueError: The folder holds something else, or a run of another configuration.
        """
        path = self.folder / CONFIGURATION
        if not path.is_file():
            if self.folder.exists() and any(self.folder.iterdir()):
                raise ValueError(
                    f"{self.folder} holds something that no comparison wrote; name another folder "
                    "by --out"
                )
            return "new"
        earlier = json.loads(path.read_text(encoding="utf-8"))
        if _portable(earlier) != _portable(self.document):
            raise ValueError(
                f"{self.folder} holds a run of another configuration than this comparison plans; "
                "name another folder by --out, or delete that one"
            )
        if (self.folder / FILE_NAME).is_file() and load_summary(self.folder)["finished"]:
            return "finished"
        try:
            steps = steps_done(newest_checkpoint(self.folder))
        except ValueError:
            return "new"
        # Killed between its last step and its summary, it has no step left to go on with.
        return "begun" if steps < self.document["trainer"]["max_steps"] else "new"

    def prepare(self) -> list[str]:
        """Make the folder ready and return the command that trains, from the last checkpoint on."""
        resumed = self.stage() == "begun"
        if not resumed and self.folder.exists():
            # Nothing but the beginning of this very run, which left no checkpoint to go on from.
            shutil.rmtree(self.folder)
        write_json(self.folder / CONFIGURATION, self.document)
        words = ["fit", "--config", str(self.folder / CONFIGURATION)]
        return command(*words, *(("--ckpt_path", "last") if resumed else ()))

    def prepare_test(self) -> list[str]:
        """The command that measures the trained model on the test split."""
        words = ["test", "--config", str(self.folder / CONFIGURATION)]
        return command(*words, "--model.pretrained", str(self.folder / "model"))


def command(*words: str) -> list[str]:
    """A glotmix command as a process of this interpreter."""
    return [sys.executable, "-m", "trainer.cli", *words]


def configured(run: Document, policy: Document, seed: int, steps: int, folder: Path) -> Document:
    """The configuration of a run with everything that the comparison decides.

    Args:
        run: Everything else, as `glotmix fit` takes it.
        policy: class_path and init_args.
        seed: Of the model's first weights, the data's order and the policy.
        steps: Optimiser steps.
        folder: Its run_dir.
    """
    document = copy.deepcopy(run)
    document |= {"policy": policy, "seed_everything": seed, "run_dir": str(folder)}
    trainer = document["trainer"] = document.get("trainer") or {}
    trainer["max_steps"] = steps
    trainer["enable_progress_bar"] = False
    stopwatch = {"class_path": _path(Stopwatch), "init_args": {"folder": str(folder)}}
    added = [stopwatch, {"class_path": _path(ValidateLastStep)}]
    trainer["callbacks"] = [*(trainer.get("callbacks") or []), *added]
    return document


def _path(kind: type) -> str:
    return f"{kind.__module__}.{kind.__qualname__}"


def _portable(document: Document) -> str:
    """A configuration as text that stays the same where its folder is moved."""
    folder = json.dumps(document["run_dir"])[1:-1]
    return json.dumps(document, sort_keys=True).replace(folder, "RUN_DIR")
