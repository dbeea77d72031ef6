import json

import numpy as np
import pytest

from policies.feedback import LN2
from trainer.exchange import StepRecord, make_feedback
from trainer.tracking import DomainTotals


def feedback(losses: list[float], domains: list[int], weights: list[float]):
    counts = np.bincount(domains, minlength=3)
    record = StepRecord(0, np.array(weights), counts, counts / 10, np.array(domains), 8, 1e-3)
    return make_feedback(record, np.array(losses), np.full(len(losses), 10.0), {})


def test_totals_add_up() -> None:
    totals = DomainTotals(3)
    totals.add(feedback([10 * LN2, 20 * LN2, np.nan], [0, 0, 1], [0.5, 0.25, 0.25]))
    assert totals.dropped.tolist() == [0, 1, 0]
    assert totals.smooth[0] == pytest.approx(1.5)
    assert np.isnan(totals.smooth[1:]).all()
    totals.add(feedback([30 * LN2, 10 * LN2], [0, 2], [0.5, 0.0, 0.5]))
    assert totals.smooth[0] == pytest.approx(0.95 * 1.5 + 0.05 * 3.0)
    assert totals.mean_weights.tolist() == [0.5, 0.125, 0.375]
    assert totals.take_window()[[0, 2]] == pytest.approx([2.0, 1.0])
    assert np.isnan(totals.take_window()).all()


def test_totals_survive_a_checkpoint() -> None:
    totals, again = DomainTotals(3), DomainTotals(3)
    totals.add(feedback([1.0, 2.0], [0, 2], [0.5, 0.0, 0.5]))
    again.load_state_dict(json.loads(json.dumps(totals.state_dict())))
    step = feedback([3.0], [1], [0.0, 1.0, 0.0])
    totals.add(step)
    again.add(step)
    assert str(totals.state_dict()) == str(again.state_dict())
