from __future__ import annotations

from pathlib import Path

import pytest
from texts import write_texts
from told_stories import TOLD, stories


@pytest.fixture(scope="session")
def told(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Stories of four languages, each in its own folder."""
    files = {
        f"{language}/{split}.jsonl.zst": stories(language, split)
        for language in TOLD
        for split in ("train", "validation")
    }
    return write_texts(tmp_path_factory.mktemp("lid") / "stories", files)


@pytest.fixture(scope="session")
def model(told: Path) -> Path:
    """A model learnt from them."""
    pytest.importorskip("fasttext", reason="fastText is not installed (extra prepare)")
    from mixer.languages.training import train

    path = told.parent / "model.bin"
    train(told, path, epochs=20)
    return path
