from pathlib import Path

import pytest
import torch
from corpora import write_corpus
from hypothesis import settings

# Machines are shared: how long an example took says nothing about the code.
settings.register_profile("shared machine", deadline=None)
settings.load_profile("shared machine")

# One thread everywhere, so that runs in this process and in others add in the same order.
torch.set_num_threads(1)


@pytest.fixture(scope="session")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with three domains of 20 to 1 in size, byte tokens, all splits."""
    return write_corpus(tmp_path_factory.mktemp("corpus"))
