"""`glotmix prepare --pipeline`, which says what is missing where datatrove is."""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec
from pathlib import Path


def prepare_by_pipeline(config: Path, out: Path) -> None:
    """Turn raw text into token shards and a ``mixture.json``, by a pipeline of datatrove's blocks.

    Args:
        config: YAML file that names readers, steps, deduplication, tokenizer and executor; what
            goes into it stands in docs/pipeline.md.
        out: Folder to write to; made if it does not exist.

    Raises:
        ValueError: datatrove is not installed; or the configuration or the text is not as it must
            be. Says what to do.
    """
    if find_spec("datatrove") is None:
        raise ValueError(
            "a pipeline needs datatrove, which is not installed: pip install 'glotmix[prepare]'"
        )
    import_module("mixer.pipeline.run").run_pipeline(config, out)
