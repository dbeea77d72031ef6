from functools import partial

import pytest

from trainer.schedule import learning_rate_factor


@pytest.mark.parametrize(("decay", "end"), [("cosine", 0.1), ("linear", 0.1), ("constant", 1.0)])
def test_it_rises_then_falls_to_its_end(decay: str, end: float) -> None:
    factor = partial(
        learning_rate_factor, total_steps=100, warmup_steps=10, decay=decay, final_factor=0.1
    )
    values = [factor(step) for step in range(101)]
    assert 0 < values[0] < values[9] < values[10] == 1.0
    assert values[10:] == sorted(values[10:], reverse=True)
    assert values[100] == factor(500) == pytest.approx(end)


def test_halfway_down_a_cosine_is_the_middle() -> None:
    value = learning_rate_factor(
        50, total_steps=100, warmup_steps=0, decay="cosine", final_factor=0.0
    )
    assert value == pytest.approx(0.5)
