"""What TensorBoard shows beside charts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from small_runs import configuration, run_here
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from policies import UCB, Fixed
from trainer.gallery import GalleryCallback, settings_of
from trainer.mixture_picture import mixture_picture

NAMES = ("en", "de", "sw")


def test_shares_fill_the_height_in_their_colours() -> None:
    weights = np.array([[0.5, 0.3, 0.2], [0.7, 0.2, 0.1]])
    area = mixture_picture([0, 10], weights, NAMES)[14:494, 48:948]
    for column, shares in ((10, weights[0]), (-1, weights[1])):
        colours, counts = np.unique(area[:, column], axis=0, return_counts=True)
        assert len(colours) == 3
        np.testing.assert_allclose(sorted(counts / 480), sorted(shares), atol=0.01)
    assert (area[0, 0] == area[0, -1]).all()  # The largest one of the end is on top throughout.


def test_many_languages_and_a_single_step_have_a_picture() -> None:
    names = [f"l{number}" for number in range(200)]
    assert mixture_picture([3], np.full((1, 200), 1 / 200), names).ndim == 3
    assert mixture_picture([3], np.ones((1, 1)), ["en"]).ndim == 3


class Steps:
    """Enough of a trainer to be told of steps."""

    accumulate_grad_batches = 1
    global_step = 0


class Still:
    """A mixture that stays."""

    def mixture_now(self) -> Any:
        return type("Now", (), {"weights": np.array([0.25, 0.75])})()


def test_the_past_is_thinned_and_resumed() -> None:
    gallery, trainer = GalleryCallback(Still(), None), Steps()  # type: ignore[arg-type]
    for step in range(1, 3001):
        trainer.global_step = step
        gallery.on_train_batch_end(trainer, None, None, None, step)  # type: ignore[arg-type]
    state = gallery.state_dict()
    assert 256 <= len(state["steps"]) <= 512
    assert set(np.diff(state["steps"])) == {8}
    assert len(state["weights"]) == len(state["steps"])
    again = GalleryCallback(Still(), None)  # type: ignore[arg-type]
    again.load_state_dict(state)
    assert again.state_dict() == state


def test_settings_are_plain() -> None:
    assert settings_of(UCB(gamma=0.9))["policy.gamma"] == 0.9
    fixed = settings_of(Fixed(weights={"en": 1.0}))
    assert (fixed["policy"], fixed["policy.weights"]) == ("Fixed", '{"en": 1.0}')


@pytest.fixture(scope="module")
def events(corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> EventAccumulator:
    """Of a run with a policy that has a matrix, and a constraint."""
    folder = tmp_path_factory.mktemp("gallery") / "run"
    policy = {
        "class_path": "Aioli",
        "init_args": {"update_every": 5, "sweeps": 1, "interval_steps": 1},
    }
    run_here(configuration(corpus, folder, policy=policy, constraints=[{"floor": 0.3}]))
    found = EventAccumulator(str(folder), size_guidance={"images": 0, "tensors": 0, "scalars": 0})
    return found.Reload()


def test_pictures_and_cards_are_there(events: EventAccumulator) -> None:
    images = set(events.Tags()["images"])
    assert "mixture/over_time" in images
    assert any(tag.startswith("policy/") for tag in images)
    assert [event.step for event in events.Images("mixture/over_time")] == [10, 20]
    cards = {
        tag: events.Tensors(f"{tag}/text_summary")[-1].tensor_proto.string_val[0].decode()
        for tag in ("mixture", "constraints")
    }
    assert all(f"| {name} |" in cards["mixture"] for name in NAMES)
    assert "Floor(minimum=0.3)" in cards["constraints"]


def test_runs_can_be_sorted_by_their_losses(events: EventAccumulator) -> None:
    tags = set(events.Tags()["scalars"])
    assert {"hp/bits_per_byte_mean", "hp/bits_per_byte_worst"} <= tags
