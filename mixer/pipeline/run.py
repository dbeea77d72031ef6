"""`glotmix prepare --pipeline`: raw text to token shards with a manifest, by datatrove."""

from __future__ import annotations

import shutil
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import multiprocess

from mixer.lock import locked
from mixer.manifest import FILE_NAME, Manifest
from mixer.pipeline.configuration import Configuration, Lane
from mixer.pipeline.executors import make_executor
from mixer.pipeline.joining import WriteManifest, receipts
from mixer.pipeline.plan import all_stages, find_lanes, lanes_to_do
from mixer.pipeline.removal_table import removal_table
from mixer.pipeline.stages import Blocks, Stage
from mixer.pipeline.workplace import Workplace
from mixer.receipts import FOLDER
from mixer.tokenizer_choice import choose_tokenizer


def run_pipeline(config: Path, out: Path) -> Manifest | None:
    """Run or queue what is not done yet, and print where the documents went.

    It can be interrupted, killed, and run again: what is finished is kept as long as the text and
    what is done to it are the same.

    Args:
        config: YAML file, as ``Configuration`` has it.
        out: Folder to write to; made if it does not exist.

    Returns:
        What was written, as in ``mixture.json``; None if it is still being done elsewhere.

    Raises:
        ValueError: The configuration or the text is not as it must be; says what to do.
    """
    started = time.monotonic()
    configuration = Configuration.load(config)
    work = Workplace(out.absolute())
    try:
        with locked(out / FOLDER):
            tokenizer = choose_tokenizer(
                configuration.tokenizer,
                work.corpus,
                [],
                processes=0,
                end_of_document=configuration.end_of_document,
                seed=0,
            )
            blocks = Blocks(configuration, work, tokenizer)
            wanted = find_lanes(configuration, blocks, tokenizer)
            lanes = lanes_to_do(wanted, work)
            if lanes:
                stages = all_stages(lanes, wanted, blocks, tokenizer)
                if not _run(stages, configuration, work):
                    print(f"the jobs are queued; {out / FILE_NAME} is written by the last of them")
                    return None
            else:
                WriteManifest(work, wanted.lanes, tokenizer).run()
            shutil.rmtree(work.folder, ignore_errors=True)
    except OSError as error:
        raise ValueError(f"{out} cannot be written to, or text not be read: {error}") from error
    _report(work, wanted.lanes, wanted.remarks)
    print(f"{out / FILE_NAME} written after {time.monotonic() - started:.1f} s")
    return Manifest.load(out)


def _run(stages: Sequence[Stage], configuration: Configuration, work: Workplace) -> bool:
    """Run or queue all stages; returns whether they are done."""
    # datatrove's manager, a process forked from this one, would go on holding the folder's lock if
    # this one were killed.
    multiprocess.set_start_method("forkserver", force=True)
    executor: Any = None
    for stage in stages:
        executor = make_executor(configuration.executor, stage, work, executor)
        executor.run()
    return bool(executor.is_rank_completed(0))


def _report(work: Workplace, lanes: Sequence[Lane], remarks: Sequence[str]) -> None:
    done = receipts(work, lanes)
    print(removal_table([(lane.domain, receipt) for lane, receipt in done]))
    for remark in remarks:
        print(remark)
    for lane, receipt in done:
        if not receipt.entry.documents:
            print(f"left out {lane.label}: it holds no documents")
