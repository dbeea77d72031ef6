"""``glotmix fit``, ``validate`` and ``test``: LightningCLI with a policy and a run folder."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import Callback, Trainer
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.cli import LightningArgumentParser, LightningCLI, SaveConfigCallback
from lightning.pytorch.loggers import TensorBoardLogger

from policies import Policy, load_policies
from policies.allocation import Aim
from trainer.checkpoints import (
    checkpoint_folder,
    newest_checkpoint,
    refuse_used_folder,
    steps_done,
)
from trainer.constraining import Demands
from trainer.dashboard import DashboardCallback
from trainer.data import CorpusDataModule
from trainer.evaluating import EvaluationCallback
from trainer.export import ModelExportCallback
from trainer.gallery import GalleryCallback
from trainer.generators import GeneratorCallback
from trainer.guarding import FiniteStepsCallback
from trainer.mixing import MixingCallback
from trainer.module import LanguageModel
from trainer.probes.settings import SignalSettings
from trainer.progress import MixtureProgressBar
from trainer.results import ResultsCallback
from trainer.summary import SummaryCallback
from trainer.written_constraints import read_constraints

# Warnings that no user could do anything about: Lightning's own use of torch, and a resumed run
# finding the checkpoints it goes on from.
_NOISE = (
    r"`isinstance\(treespec, LeafSpec\)` is deprecated",
    r"Checkpoint directory .* exists and is not empty",
)

_CHECKPOINT_DEFAULTS = {
    "checkpoint.filename": "{step}",
    "checkpoint.every_n_train_steps": 500,
    "checkpoint.save_top_k": 1,
    "checkpoint.enable_version_counter": False,
}
# Parsers raise what is wrong instead of printing every option there is.
_RAISE = {"exit_on_error": False}
_TRAINER_DEFAULTS = {
    # A mixture has no epochs: steps bound the run, and validation counts steps.
    "max_epochs": -1,
    "check_val_every_n_epoch": None,
    "num_sanity_val_steps": 0,
    "use_distributed_sampler": False,
    "log_every_n_steps": 10,
}


class GlotmixCLI(LightningCLI):
    """LightningCLI with the mixture's settings, ``run_dir`` and ``checkpoint`` on top.

    The configuration is the only source of settings: a checkpoint is state.
    """

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        parser.add_argument(
            "--run_dir", type=Path, required=True, help="Folder of the run: all it writes."
        )
        parser.add_subclass_arguments(
            Policy, "policy", required=True, help="The rule that decides the mixture."
        )
        parser.add_subclass_arguments(
            Policy,
            "prior",
            required=False,
            help="Static policy whose mixture learning policies start from (default: UniMax).",
        )
        parser.add_argument(
            "--target",
            type=dict[str, float] | None,
            default=None,
            help="How much each domain counts in the end, by name (default: all the same).",
        )
        parser.add_argument(
            "--constraints",
            type=list[dict[str, Any]],
            default=[],
            help="What every mixture must keep: a list of short forms such as {floor: 0.01} or "
            "{share: {of: sw, minimum: 0.005}}, or of class_path and init_args.",
        )
        parser.add_argument(
            "--groups",
            type=dict[str, list[str]],
            default={},
            help="Members of named groups, for constraints: domains or other groups.",
        )
        parser.add_argument(
            "--allocation.objective",
            type=Aim,
            default="kl",
            help="What is made best within the constraints: a distance from the policy's mixture, "
            "or the goal that the policy itself pursues, if it has one.",
        )
        parser.add_argument(
            "--allocation.strict",
            type=bool,
            default=False,
            help="Stop the run when constraints cannot be kept any more, instead of loosening "
            "them as little as possible.",
        )
        parser.add_class_arguments(SignalSettings, "signals")
        parser.add_lightning_class_args(ModelCheckpoint, "checkpoint")
        parser.set_defaults(_CHECKPOINT_DEFAULTS)
        parser.link_arguments("run_dir", "checkpoint.dirpath", compute_fn=checkpoint_folder)
        parser.link_arguments("seed_everything", "data.seed", compute_fn=_whole_seed)
        parser.link_arguments("seed_everything", "model.seed", compute_fn=_whole_seed)

    def _parse_ckpt_path(self) -> None:
        """Leave the configuration alone: the checkpoint's hyper-parameters do not override it."""

    def before_instantiate_classes(self) -> None:
        config = self.config[self.subcommand]
        if config.get("ckpt_path") == "last":
            config["ckpt_path"] = str(newest_checkpoint(config["run_dir"]))
        elif self.subcommand == "fit" and config.get("ckpt_path") is None:
            refuse_used_folder(config["run_dir"])

    def instantiate_trainer(self, **kwargs: Any) -> Trainer:
        config = self.config_init[self.subcommand]
        run_dir = Path(config["run_dir"])
        self.mixing = mixing = MixingCallback(
            config["policy"],
            config.get("prior"),
            config["target"],
            demands=Demands(
                constraints=read_constraints(config["constraints"]),
                groups=config["groups"],
                objective=config["allocation"]["objective"],
                strict=config["allocation"]["strict"],
            ),
            signals=config["signals"],
            seed=_whole_seed(config["seed_everything"]),
        )
        evaluation, guard = EvaluationCallback(), FiniteStepsCallback()
        extra: list[Callback] = [
            mixing,
            evaluation,
            guard,
            GeneratorCallback(),
            DashboardCallback(mixing, evaluation, guard),
            GalleryCallback(mixing, evaluation),
            SummaryCallback(run_dir, mixing, evaluation, guard),
            ResultsCallback(run_dir, evaluation),
            ModelExportCallback(run_dir / "model"),
        ]
        if config["trainer"].get("enable_progress_bar") is not False:
            extra.append(MixtureProgressBar(mixing))
        if config["trainer"].get("logger") is None:
            resumed = config.get("ckpt_path") if self.subcommand == "fit" else None
            kwargs["logger"] = tensorboard(run_dir, None if resumed is None else Path(resumed))
        if config["trainer"].get("default_root_dir") is None:
            # Without a logger Lightning writes the configuration here, not into the run's folder.
            kwargs["default_root_dir"] = run_dir
        # Ours first: checkpoints and charts must see the policy after its update.
        kwargs["callbacks"] = [*extra, *(config["trainer"].get("callbacks") or [])]
        return super().instantiate_trainer(**kwargs)

    def before_fit(self) -> None:
        # Lightning opens the corpus before it asks any callback: what cannot work is refused here.
        self.mixing.plan(self.datamodule, self.trainer.max_steps)


def tensorboard(run_dir: Path, resumed: Path | None) -> TensorBoardLogger:
    """A logger that writes into the run's folder itself."""
    # Charts of a resumed run must not show what came after its checkpoint.
    purge: dict[str, Any] = {} if resumed is None else {"purge_step": steps_done(resumed) + 1}
    return TensorBoardLogger(
        run_dir.parent, name=run_dir.name, version="", default_hp_metric=False, **purge
    )


def run() -> None:
    """Run ``fit``, ``validate`` or ``test``, as the command line says.

    Raises:
        ValueError: Something in the configuration, the corpus or the checkpoint is unusable.
    """
    load_policies()
    for message in _NOISE:
        warnings.filterwarnings("ignore", message=message)
    torch.set_float32_matmul_precision("high")
    GlotmixCLI(
        LanguageModel,
        CorpusDataModule,
        save_config_callback=SaveConfigCallback,
        save_config_kwargs={"overwrite": True},
        trainer_defaults=_TRAINER_DEFAULTS,
        seed_everything_default=0,
        auto_configure_optimizers=False,
        parser_kwargs=_RAISE | dict.fromkeys(("fit", "validate", "test"), _RAISE),
    )


def _whole_seed(seed: bool | int) -> int:
    if isinstance(seed, bool):
        raise ValueError(f"seed_everything must be a whole number, got {seed}")
    return seed
