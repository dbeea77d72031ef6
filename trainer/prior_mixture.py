"""The mixture that a finished run's policy started from, worked out from its folder alone."""

from __future__ import annotations

import numpy as np
import yaml  # type: ignore[import-untyped]

from policies import Array, Task, UniMax
from trainer.compare.tasks import make_policy
from trainer.report.run_record import RunRecord


def prior_mixture(record: RunRecord) -> Array:
    """The prior of a run, shape (k,), in the order of its domains; the corpus is not needed.

    How much text there is of a language follows from its tokens and epochs, to the precision that
    these have; what else a static mixture may depend on is in the configuration.

    Args:
        record: What `read_run` found.

    Raises:
        ValueError: The run has read nothing of a language, or its configuration is missing.
    """
    unread = [name for name, row in record.domains.items() if not row.get("epochs")]
    if unread or not record.configuration:
        raise ValueError(
            "the run must have read something of every language and have its configuration, got "
            f"nothing of {', '.join(unread) or 'the configuration'}"
        )
    rows = record.domains.values()
    unique = np.array([(row["tokens"] or 0.0) / (row["epochs"] or 1.0) for row in rows])
    even = np.full(len(unique), 1.0 / len(unique))
    settings = yaml.safe_load(record.configuration)
    data, document = settings["data"], settings.get("prior")
    policy = UniMax() if document is None else make_policy("prior", document)
    task = Task(
        names=tuple(record.domains),
        unique_tokens=unique,
        bytes_per_token=np.ones(len(unique)),  # No static mixture looks at it.
        prior=even,
        target=even,
        total_steps=record.max_steps or record.step,
        tokens_per_step=data["batch_size"] * data["sequence_length"],
        seed=settings["seed_everything"],
    )
    return policy.decide(policy.init(task), 0).weights
