"""Which text files a corpus folder holds."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from mixer.documents import SUFFIXES
from mixer.manifest import SPLITS, check_domain_name


@dataclass(frozen=True)
class SourceFile:
    """The text of one split of one domain.

    Attributes:
        domain: Name of the domain.
        split: One of ``SPLITS``.
        path: The file.
        size: Its size in bytes when it was found.
        mtime_ns: When it was last changed, in nanoseconds.
    """

    domain: str
    split: str
    path: Path
    size: int
    mtime_ns: int

    @property
    def label(self) -> str:
        return f"{self.domain}/{self.path.name}"

    def check_unchanged(self) -> None:
        """Raise a ValueError if the file is no longer what was found."""
        now = self.path.stat()
        if (now.st_size, now.st_mtime_ns) != (self.size, self.mtime_ns):
            raise ValueError(f"{self.label} changed while it was read; run again when it is whole")


def find_sources(folder: Path) -> tuple[list[SourceFile], list[str]]:
    """Find ``DOMAIN/SPLIT.SUFFIX`` for all domains and splits.

    Hidden files and folders are ignored. Links are followed.

    Args:
        folder: Holds one folder per domain.

    Returns:
        The files, sorted by domain and split, and remarks on what was ignored or is missing.

    Raises:
        ValueError: There is no domain, one has no train split or two files for the same split, or
            something that should be a text file is none.
    """
    if not folder.is_dir():
        raise ValueError(f"{folder} is no folder; name the one that holds a folder per language")
    sources: list[SourceFile] = []
    remarks: list[str] = []
    for entry in _visible(folder):
        if entry.is_dir():
            check_domain_name(entry.name)
            sources += _domain_sources(entry, remarks)
        elif entry.exists():
            remarks.append(f"ignored {entry.name}: not in a domain's folder")
        else:
            raise ValueError(f"{entry} is a link to nothing; mend or remove it")
    if not sources:
        raise ValueError(
            f"{folder} holds no domains; it should hold a folder per language, each with "
            f"train{SUFFIXES[2]} or the like"
        )
    return sources, remarks


def _visible(folder: Path) -> list[Path]:
    try:
        return sorted(path for path in folder.iterdir() if not path.name.startswith("."))
    except OSError as error:
        raise ValueError(f"{folder} cannot be read: {error.strerror}") from error


def _domain_sources(folder: Path, remarks: list[str]) -> list[SourceFile]:
    found: dict[str, Path] = {}
    for path in _visible(folder):
        split, _, kind = path.name.partition(".")
        if split not in SPLITS:
            remarks.append(f"ignored {folder.name}/{path.name}: no split is called that")
        elif f".{kind}" not in SUFFIXES:
            raise ValueError(f"{path} is in no format that is read; they are {', '.join(SUFFIXES)}")
        elif split in found:
            raise ValueError(
                f"{folder.name!r} has two files for {split}, {found[split].name} and {path.name}; "
                "remove one or join them"
            )
        else:
            found[split] = path
    if "train" not in found:
        raise ValueError(
            f"domain {folder.name!r} has no train split; put train{SUFFIXES[2]} or the like into "
            f"{folder}, or take the folder away"
        )
    remarks += [f"{folder.name} has no {split} split" for split in SPLITS if split not in found]
    sources = [_source(folder.name, split, found[split]) for split in SPLITS if split in found]
    if not sources[0].size:
        raise ValueError(f"{sources[0].path} is empty; put text into it or take {folder} away")
    remarks += [f"left out {source.label}: it is empty" for source in sources if not source.size]
    return [source for source in sources if source.size]


def _source(domain: str, split: str, path: Path) -> SourceFile:
    if not path.is_file():
        kind = "a folder" if path.is_dir() else "no file" if path.exists() else "a link to nothing"
        raise ValueError(f"{path} should be a text file, it is {kind}")
    status = path.stat()
    return SourceFile(domain, split, path, status.st_size, status.st_mtime_ns)
