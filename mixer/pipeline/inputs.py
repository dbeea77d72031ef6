"""What a reader will read, found before anything is."""

from __future__ import annotations

from typing import Any

from datatrove.pipeline.base import PipelineStep
from datatrove.pipeline.readers.base import BaseDiskReader

STAMPS = ("mtime", "ETag", "etag", "LastModified", "last_modified", "updated", "sha256")
File = list[Any]


def find_inputs(reader: PipelineStep) -> list[File] | None:
    """Path, size and time of change (or what a store has instead) of all files, in order.

    Returns:
        The files; None for readers of something else, whose changes are not noticed.
    """
    if not isinstance(reader, BaseDiskReader) or reader.paths_file:
        return None
    folder = reader.data_folder
    files: list[File] = []
    try:
        for name in folder.list_files(recursive=reader.recursive, glob_pattern=reader.glob_pattern):
            about = folder.info(name)
            stamp = next((str(about[key]) for key in STAMPS if key in about), "")
            files.append([folder.resolve_paths(name), about.get("size"), stamp])
    except FileNotFoundError:
        return []
    return files


def describe(reader: PipelineStep, files: list[File] | None) -> str:
    """Where a lane's text comes from, for the manifest: a file, a folder, a data set."""
    if not files:
        return str(getattr(reader, "dataset", None) or type(reader).__name__)
    if len(files) == 1:
        return str(files[0][0])
    return f"{reader.data_folder.resolve_paths('')} ({len(files)} files)"
