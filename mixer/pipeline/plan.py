"""Which lanes are to be done, and whether an earlier run had begun with just these."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from mixer.indexed import PARTIAL_FILES, partial_path
from mixer.manifest import FILE_NAME
from mixer.pipeline.configuration import Configuration, Lane
from mixer.pipeline.inputs import describe, find_inputs
from mixer.pipeline.joining import JoinLane, WriteManifest
from mixer.pipeline.lane_receipt import fingerprint, is_done
from mixer.pipeline.per_lane import Routes
from mixer.pipeline.stages import Blocks, Stage, document_stages, stage
from mixer.pipeline.workplace import Workplace
from mixer.tokenizer_choice import Choice


@dataclass(frozen=True)
class Wanted:
    """All lanes that have text.

    Attributes:
        lanes: The lanes.
        fingerprints: By label, the digest of input files and of what is to be done to them.
        sources: By label, where the text comes from.
        remarks: What is missing, in words.
    """

    lanes: tuple[Lane, ...]
    fingerprints: Mapping[str, str]
    sources: Mapping[str, str]
    remarks: tuple[str, ...]


def find_lanes(configuration: Configuration, blocks: Blocks, tokenizer: Choice) -> Wanted:
    """Look for the text of all lanes, and make their blocks once, to find mistakes early.

    Raises:
        ValueError: A domain has no text to train on, or a block cannot be made.
    """
    lanes: list[Lane] = []
    fingerprints: dict[str, str] = {}
    sources: dict[str, str] = {}
    remarks: list[str] = []
    for lane in configuration.lanes:
        reader = blocks.reader(lane)
        files = find_inputs(reader)
        if files == []:
            if lane.split == "train":
                raise ValueError(
                    f"domain {lane.domain!r} has no train split: its reader finds no files; see to "
                    "data_folder and glob_pattern, or leave the domain out"
                )
            remarks.append(f"{lane.domain} has no {lane.split} split")
            continue
        for at in range(len(lane.steps)):
            blocks.step(at, lane)
        lanes.append(lane)
        recipe = [configuration.recipe(lane), tokenizer.fingerprint, files]
        fingerprints[lane.label] = fingerprint(recipe)
        sources[lane.label] = describe(reader, files)
    return Wanted(tuple(lanes), fingerprints, sources, tuple(remarks))


def lanes_to_do(wanted: Wanted, work: Workplace) -> tuple[Lane, ...]:
    """The lanes that are not done yet, or those of an interrupted run, which goes on.

    An interrupted run is gone on with if all that it was to do is still wanted, and nothing else
    is; otherwise its traces are removed.
    """
    due = {
        lane.label: wanted.fingerprints[lane.label]
        for lane in wanted.lanes
        if not is_done(work.receipt(lane), wanted.fingerprints[lane.label], work.prefix(lane))
    }
    begun = _begun(work)
    still_wanted = begun.items() <= wanted.fingerprints.items()
    labels = begun if begun and still_wanted and due.keys() <= begun.keys() else due
    lanes = tuple(lane for lane in wanted.lanes if lane.label in labels)
    if labels is begun and due:
        _remove_partials(work, lanes)
        return lanes
    shutil.rmtree(work.folder, ignore_errors=True)
    if due:
        _begin(work, lanes, due)
    return lanes if due else ()


def all_stages(
    lanes: Sequence[Lane], wanted: Wanted, blocks: Blocks, tokenizer: Choice
) -> list[Stage]:
    """From readers to the manifest."""
    work = blocks.work
    stages = document_stages(blocks, lanes)
    join = partial(_join, work, tuple(stages), wanted, blocks)
    manifest = partial(_manifest, work, wanted.lanes, tokenizer)
    stages.append(stage("join", Routes.of(lanes, lambda lane: 1), [("join", join)]))
    stages.append(stage("manifest", Routes.of(lanes[:1], lambda lane: 1), [("write", manifest)]))
    return stages


def _join(
    work: Workplace, stages: Sequence[Stage], wanted: Wanted, blocks: Blocks, lane: Lane
) -> JoinLane:
    return JoinLane(
        work,
        stages,
        lane,
        fingerprint=wanted.fingerprints[lane.label],
        source=wanted.sources[lane.label],
        max_bad_fraction=blocks.configuration.max_bad_fraction,
        columns=blocks.columns,
    )


def _manifest(
    work: Workplace, lanes: Sequence[Lane], tokenizer: Choice, lane: Lane
) -> WriteManifest:
    return WriteManifest(work, lanes, tokenizer)


def _begun(work: Workplace) -> dict[str, str]:
    try:
        begun: dict[str, str] = json.loads(work.plan.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return begun


def _remove_partials(work: Workplace, lanes: Sequence[Lane]) -> None:
    folders = {work.prefix(lane).parent for lane in lanes}
    found = (path for folder in folders for path in folder.glob(PARTIAL_FILES))
    for path in (*work.folder.rglob(PARTIAL_FILES), *found):
        path.unlink(missing_ok=True)


def _begin(work: Workplace, lanes: Sequence[Lane], due: Mapping[str, str]) -> None:
    # The old manifest must not describe new shards.
    (work.corpus / FILE_NAME).unlink(missing_ok=True)
    for lane in lanes:
        shutil.rmtree(work.removed(lane), ignore_errors=True)
        for column in work.prefix(lane).parent.glob(f"{lane.split}.*.scores.npy"):
            column.unlink()
    work.folder.mkdir(parents=True, exist_ok=True)
    partial = partial_path(work.plan)
    partial.write_text(json.dumps(dict(due)), encoding="utf-8")
    partial.replace(work.plan)
