"""What is read of TensorBoard's files is what TensorBoard itself reads."""

from pathlib import Path

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from torch.utils.tensorboard import SummaryWriter

from trainer.event_files import PATTERN, read_scalars


def write(folder: Path, name: str, steps: range, offset: float, purge: int | None = None) -> Path:
    """A file of a run or of a part of it; files are read in the order of their names."""
    with SummaryWriter(str(folder / name), purge_step=purge) as writer:
        writer.add_custom_scalars({"languages": {"loss": ["Multiline", ["loss/.*"]]}})
        for step in steps:
            writer.add_scalar("loss/en", offset + step, step)
            writer.add_scalar("loss/sw", float("nan"), step)
    (written,) = (folder / name).glob(PATTERN)
    path = folder / f"events.out.tfevents.{name}"
    written.rename(path)
    written.parent.rmdir()
    return path


def test_a_resumed_run_reads_as_in_tensorboard(tmp_path: Path) -> None:
    write(tmp_path, "1", range(10), 0.0)
    write(tmp_path, "2", range(6, 12), 100.0, purge=6)
    found = read_scalars(tmp_path)
    events = EventAccumulator(str(tmp_path), size_guidance={"scalars": 0})
    events.Reload()
    assert set(found) == set(events.Tags()["scalars"]) == {"loss/en", "loss/sw"}
    expected = [(event.step, event.value, event.wall_time) for event in events.Scalars("loss/en")]
    assert found["loss/en"] == expected
    assert [entry.step for entry in found["loss/en"]] == list(range(12))
    assert [entry.value for entry in found["loss/en"]][5:7] == [5.0, 106.0]


@pytest.mark.parametrize("cut", [1, 5, 20])
def test_a_file_that_was_cut_off_is_read_up_to_there(tmp_path: Path, cut: int) -> None:
    path = write(tmp_path, "1", range(10), 0.0)
    path.write_bytes(path.read_bytes()[:-cut])
    found = read_scalars(tmp_path)
    assert len(found["loss/en"]) == 10
    assert len(found["loss/sw"]) == 9


def test_a_file_of_something_else_holds_nothing(tmp_path: Path) -> None:
    (tmp_path / "events.out.tfevents.1").write_bytes(b"\x02" + bytes(11) + b"\xff" * 6 + b"text")
    assert read_scalars(tmp_path) == {}
    (tmp_path / "events.out.tfevents.2").write_bytes(b"long enough to be a length, but is none")
    assert read_scalars(tmp_path) == {}
