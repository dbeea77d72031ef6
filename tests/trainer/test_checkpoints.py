from pathlib import Path

import pytest
import torch

from trainer.checkpoints import (
    checkpoint_folder,
    newest_checkpoint,
    refuse_used_folder,
    steps_done,
)


def save(run_dir: Path, step: int) -> Path:
    path = checkpoint_folder(run_dir) / f"step={step}.ckpt"
    path.parent.mkdir(parents=True, exist_ok=True)
    torch.save({"global_step": step}, path)
    return path


def test_the_newest_has_the_most_steps_whenever_it_was_written(tmp_path: Path) -> None:
    newest = save(tmp_path, 100)
    save(tmp_path, 90)
    (checkpoint_folder(tmp_path) / "best.ckpt").touch()
    assert newest_checkpoint(tmp_path) == newest
    assert steps_done(newest) == 100


def test_a_sharded_checkpoint_is_a_folder(tmp_path: Path) -> None:
    folder = checkpoint_folder(tmp_path) / "step=7.ckpt"
    folder.mkdir(parents=True)
    torch.save({"global_step": 7}, folder / "meta.pt")
    assert steps_done(newest_checkpoint(tmp_path)) == 7


def test_a_run_without_checkpoints_cannot_go_on(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="holds no checkpoint; start the run without it"):
        newest_checkpoint(tmp_path)


def test_a_folder_that_holds_a_run_is_not_written_over(tmp_path: Path) -> None:
    refuse_used_folder(tmp_path)
    save(tmp_path, 1)
    with pytest.raises(ValueError, match="holds a run already; go on with it by --ckpt_path last"):
        refuse_used_folder(tmp_path)


@pytest.mark.parametrize("content", [b"", b"no checkpoint", b"PK\x03\x04"])
def test_what_is_no_checkpoint_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "step=3.ckpt"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"step=3\.ckpt is not a checkpoint of glotmix"):
        steps_done(path)
