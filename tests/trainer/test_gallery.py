"""What TensorBoard shows beside charts."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, TypeAlias

import numpy as np
import pytest
from small_runs import configuration, run_here
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from policies import UCB, Fixed
from trainer.gallery import GalleryCallback, settings_of
from trainer.loss_picture import loss_picture
from trainer.mixture_picture import mixture_picture
from trainer.picture_frame import HEIGHT, LEFT, TOP, WIDTH, colours

NAMES = ("en", "de", "sw")
Picture: TypeAlias = Callable[..., Any]


def area_of(picture: np.ndarray) -> np.ndarray:
    """What lies between the axes."""
    return picture[TOP : TOP + HEIGHT, LEFT : LEFT + WIDTH]


def test_shares_fill_the_height_in_their_colours() -> None:
    weights = np.array([[0.5, 0.3, 0.2], [0.7, 0.2, 0.1]])
    area = area_of(mixture_picture([0, 10], weights, NAMES))
    for column, shares in ((2, weights[0]), (-1, weights[1])):
        found, counts = np.unique(area[:, column], axis=0, return_counts=True)
        assert {tuple(colour) for colour in found.tolist()} == set(colours(3))
        np.testing.assert_allclose(sorted(counts / HEIGHT), sorted(shares), atol=0.01)
    # The largest one of the end is on top throughout.
    assert tuple(area[0, 0]) == tuple(area[0, -1]) == colours(3)[0]


def test_to_and_fro_is_shown_as_its_mean() -> None:
    lean = np.where(np.arange(400) % 2, 0.1, 0.9)
    area = area_of(mixture_picture(range(1, 401), np.column_stack([lean, 1 - lean]), ("a", "b")))
    upper = (area == area[0, 0]).all(axis=2).mean(axis=0)
    # All but the last steps, which are as they are.
    np.testing.assert_allclose(upper[:-10], 0.5, atol=0.02)


@pytest.mark.parametrize("picture", [mixture_picture, loss_picture])
def test_many_languages_and_a_single_step_have_a_picture(picture: Picture) -> None:
    names = [f"l{number}" for number in range(200)]
    few = picture([1, 3], np.full((2, 3), 1 / 3), NAMES)
    many = picture([3], np.full((1, 200), 1 / 200), names)
    assert many.shape == few.shape
    legends = [one[TOP : TOP + HEIGHT, LEFT + WIDTH + 10 :].min(axis=(1, 2)) for one in (few, many)]
    # Three lines, and as many as there is room for.
    assert [np.flatnonzero(legend < 200).max() // 25 for legend in legends] == [2, 15]
    assert picture([3], np.ones((1, 1)), ["en"]).ndim == 3


def test_losses_are_lines_in_the_colours_of_their_languages() -> None:
    losses = np.array([[3.0, 2.0, np.nan], [2.0, 1.0, 1.5]])
    area = area_of(loss_picture([100, 200], losses, NAMES))
    for place, (first, last) in enumerate([(0, HEIGHT // 2), (HEIGHT // 2, HEIGHT - 1)]):
        rows, columns = np.nonzero((area == colours(3)[place]).all(axis=2))
        assert abs(rows[columns <= 1].mean() - first) < 4
        assert abs(rows[columns == WIDTH - 1].mean() - last) < 5
    # Known only at the end.
    assert np.nonzero((area == colours(3)[2]).all(axis=2))[1].min() > WIDTH - 10
    assert loss_picture([1], np.full((1, 3), np.nan), NAMES).ndim == 3


class Steps:
    """Enough of a trainer to be told of steps."""

    def __init__(self) -> None:
        self.global_step = 0
        mixture = SimpleNamespace(weights=np.array([0.25, 0.75]))
        self.datamodule = SimpleNamespace(mixture=mixture)


def test_the_past_is_thinned_and_resumed() -> None:
    gallery, trainer = GalleryCallback(None, None), Steps()  # type: ignore[arg-type]
    for batch in range(2 * 3001):  # Two micro-batches to a step, counted after the second.
        trainer.global_step = (batch + 1) // 2
        gallery.on_train_batch_end(trainer, None, None, None, batch)  # type: ignore[arg-type]
    state = gallery.state_dict()
    assert 256 <= len(state["steps"]) <= 512
    assert set(np.diff(state["steps"])) == {8}
    assert state["steps"][0] > 0
    assert state["weights"] == [[0.25, 0.75]] * len(state["steps"])
    again = GalleryCallback(None, None)  # type: ignore[arg-type]
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
    for tag in ("mixture/over_time", "mixture/bits_per_byte"):
        assert [event.step for event in events.Images(tag)] == [10, 20]
    cards = {
        tag: events.Tensors(f"{tag}/text_summary")[-1].tensor_proto.string_val[0].decode()
        for tag in ("mixture", "constraints")
    }
    assert all(f"| {name} |" in cards["mixture"] for name in NAMES)
    assert "Floor(minimum=0.3)" in cards["constraints"]


def test_runs_can_be_sorted_by_their_losses(events: EventAccumulator) -> None:
    tags = set(events.Tags()["scalars"])
    assert {"hp/bits_per_byte_mean", "hp/bits_per_byte_worst"} <= tags
