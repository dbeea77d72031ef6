import json
from pathlib import Path

import pytest

from mixer.quarantine import ENTRIES_PER_REASON, Entry, Quarantine


def filled(good: int, bad: int, max_bad_fraction: float = 1, reason: str = "no text") -> Quarantine:
    quarantine = Quarantine("de/train.txt", max_bad_fraction)
    for _ in range(good):
        quarantine.accept()
    for line in range(1, bad + 1):
        quarantine.add(line, reason)
    return quarantine


def test_all_are_counted_few_are_kept(tmp_path: Path) -> None:
    quarantine = filled(5, 100_000)
    quarantine.add(7, "empty text")
    assert quarantine.seen == 100_006
    assert quarantine.counts == {"no text": 100_000, "empty text": 1}
    assert len(quarantine.entries) == ENTRIES_PER_REASON + 1
    quarantine.save(tmp_path / "deep/train.quarantine.jsonl")
    lines = (tmp_path / "deep/train.quarantine.jsonl").read_text().splitlines()
    last = {"file": "de/train.txt", "line": 7, "reason": "empty text", "detail": ""}
    assert json.loads(lines[-1]) == last


def test_without_bad_documents_there_is_no_file(tmp_path: Path) -> None:
    path = tmp_path / "train.quarantine.jsonl"
    filled(1, 1).save(path)
    assert path.exists()
    filled(1, 0).save(path)
    assert not path.exists()


def test_too_many_bad_ones_stop_a_long_file_at_once() -> None:
    filled(990, 10, 0.01)
    message = (
        r"de/train\.txt: 11 of 1001 documents are bad \(11 x no text; the first at line 1: no "
        r"text\), more than max_bad_fraction 0\.01; mend the file or raise max_bad_fraction"
    )
    with pytest.raises(ValueError, match=message):
        filled(990, 11, 0.01)


def test_a_short_file_is_judged_at_its_end() -> None:
    quarantine = filled(99, 2, 0.01)
    with pytest.raises(ValueError, match="2 of 101 documents are bad"):
        quarantine.check()
    filled(99, 1, 0.01).check()


def test_none_and_all() -> None:
    filled(0, 0, 0).check()
    filled(5, 0, 0).check()
    filled(0, 2000, 1).check()
    with pytest.raises(ValueError, match="1 of 6 documents"):
        filled(5, 1, 0).check()


def test_the_commonest_reason_comes_first_and_details_are_told() -> None:
    quarantine = Quarantine("f", 0)
    quarantine.add(3, "invalid JSON", "line ended")
    quarantine.add(4, "no text")
    quarantine.add(5, "no text")
    with pytest.raises(ValueError, match=r"2 x no text, 1 x invalid JSON.*line 3: .*line ended"):
        quarantine.check()


def test_parts_together_are_as_the_whole() -> None:
    whole = filled(30, 150)
    parts = filled(10, 80)
    later = [Entry(line, "no text", "") for line in range(81, 151)]
    parts.extend(90, {"no text": 70}, later)
    assert (parts.seen, parts.counts) == (whole.seen, whole.counts)
    assert parts.entries == whole.entries


@pytest.mark.parametrize("fraction", [-0.1, 1.1, float("nan")])
def test_fractions(fraction: float) -> None:
    with pytest.raises(ValueError, match="max_bad_fraction must be from 0 to 1, got"):
        Quarantine("f", fraction)
