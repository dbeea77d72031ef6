"""Charts of runs over any number of languages."""

import re

import numpy as np
import pytest
from made_up_records import made_up

from trainer.report.charts import charts
from trainer.report.curves import Curves
from trainer.report.heat_chart import heat_chart
from trainer.report.highlights import colours, highest
from trainer.report.page import page
from trainer.report.plane import spread, ticks


def drawn(picture: str, kind: str) -> list[str]:
    return re.findall(rf'<path class="{kind}([^"]*)"', picture)


def labels(picture: str) -> list[str]:
    return re.findall(r'<g class="label [^"]*" data-name="([^"]*)"', picture)


def test_of_two_hundred_languages_twelve_are_named() -> None:
    found = charts(made_up(200))
    weights, epochs = (chart.picture for chart in found["mixture"])
    validation, training = (chart.picture for chart in found["losses"])
    assert len(drawn(weights, "area")) == 13
    assert labels(weights)[0] == "l000_Latn"
    assert labels(weights)[-1] == "188 others"
    for picture, extra in ((epochs, []), (validation, ["mean"]), (training, ["mean"])):
        lines = drawn(picture, "line")
        assert len(lines) == 200 + len(extra)
        assert lines.count(" other") == 188
        assert labels(picture) == [f"l{number}_Latn" for number in range(199, 187, -1)] + extra
    assert "The 12 worst are named" in found["losses"][0].remark
    assert len(page(made_up(200))) < 2_000_000


@pytest.mark.parametrize("num_languages", [1, 2, 13])
def test_a_few_languages_are_all_named(num_languages: int) -> None:
    found = charts(made_up(num_languages))
    for chart in found["mixture"]:
        assert len(labels(chart.picture)) == num_languages
        assert " other" not in drawn(chart.picture, "line")
    mean = 1 if num_languages > 1 else 0
    assert len(labels(found["losses"][0].picture)) == num_languages + mean


def test_a_language_has_one_colour_in_all_charts() -> None:
    pictures = [chart.picture for drawn in charts(made_up(13)).values() for chart in drawn]
    for name in made_up(13).domains:
        pattern = rf'<g class="label (c\d+)" data-name="{name}"'
        assert len({re.search(pattern, picture)[1] for picture in pictures}) == 1  # type: ignore[index]


def test_colours_that_come_again_are_told_apart() -> None:
    found = colours([f"n{number}" for number in range(40)])
    assert len(set(found.values())) == 40
    assert found["n14"] == "c0 again1"


def test_one_more_than_named_is_not_the_others() -> None:
    scores = {f"n{number}": float(number) for number in range(14)}
    assert len(highest(scores)) == 12
    del scores["n0"]
    assert len(highest(scores)) == 13
    assert highest({"a": float("nan"), "b": 1.0}) == ["b"]


def test_the_line_of_four_epochs_is_drawn_where_it_is_near() -> None:
    def repetition(factor: float) -> tuple[str, str]:
        run = made_up(13)
        curves = run.curves["mixture/epochs"]
        scaled = curves._replace(values=factor * curves.values)
        run = type(run)(**{**run.__dict__, "curves": {"mixture/epochs": scaled}})
        (chart,) = charts(run)["mixture"]
        return chart.picture, chart.remark

    picture, remark = repetition(1.0)
    assert ">4 epochs<" in picture
    assert remark.startswith("Read more than 4 times: 2 of 13.")
    picture, remark = repetition(0.01)
    assert ">4 epochs<" not in picture
    assert remark == "Read more than 4 times: none of 13."


@pytest.mark.parametrize("num_steps", [1, 2])
def test_a_run_of_a_step_or_two_can_be_drawn(num_steps: int) -> None:
    for drawn_charts in charts(made_up(3, num_steps)).values():
        for chart in drawn_charts:
            assert "nan" not in chart.picture
            assert "inf" not in chart.picture


def test_thinned_curves_are_means_and_end_where_the_run_does() -> None:
    values = np.arange(20.0).reshape(10, 2)
    values[0:2, 1] = np.nan
    values[2, 1] = np.nan
    thin = Curves(np.arange(10.0), ("a", "b"), values).thinned(5)
    assert thin.steps.tolist() == [0.5, 2.5, 4.5, 6.5, 8.5, 9.0]
    assert thin.values[:, 0].tolist() == [1.0, 5.0, 9.0, 13.0, 17.0, 18.0]
    assert np.isnan(thin.values[0, 1])
    assert thin.values[1:, 1].tolist() == [7.0, 10.0, 14.0, 18.0, 19.0]


def test_the_mean_keeps_languages_that_the_batch_left_out() -> None:
    values = np.array([[1.0, np.nan], [np.nan, 5.0], [3.0, np.nan]])
    assert Curves(np.arange(3.0), ("a", "b"), values).mean().tolist() == [1.0, 3.0, 4.0]


def test_only_whole_mixtures_are_stacked() -> None:
    values = np.array([[0.5, 0.5], [0.3, np.nan]])
    assert Curves(np.array([1.0, 2.0]), ("a", "b"), values).complete().steps.tolist() == [1.0]


def test_labels_do_not_overlap_and_stay_inside() -> None:
    wanted = [50.0, 51.0, 52.0, 299.0, 300.0, 0.0]
    places = np.array(spread(wanted, 10.0, 300.0))
    assert np.diff(np.sort(places)).min() >= 10.0 - 1e-9
    assert places.min() >= 0.0
    assert places.max() <= 300.0
    assert places[:3] == pytest.approx([41.0, 51.0, 61.0])
    assert (places.argsort() == np.argsort(wanted)).all()
    # More than there is room for come closer.
    assert spread([5.0] * 31, 14.0, 300.0) == pytest.approx(np.arange(31) * 10.0)


def test_ticks_are_round() -> None:
    assert ticks(0.0, 1.0) == pytest.approx([0.0, 0.2, 0.4, 0.6, 0.8, 1.0])
    assert ticks(1.83, 3.3) == pytest.approx([2.0, 2.5, 3.0])
    assert ticks(10, 2400) == pytest.approx([500, 1000, 1500, 2000])


def test_what_languages_do_for_themselves_does_not_pale_the_rest() -> None:
    chart = heat_chart("transfer", [[9.0, -0.5], [0.25, None]], ["a", "b"])
    assert chart.strongest == 0.5
    cells = re.findall(r'<path class="(\w+)" fill-opacity="([\d.]+)"', chart.picture)
    assert cells == [("helps", "1.00"), ("harms", "1.00"), ("helps", "0.50")]
    assert "b evaluated, a trained on: 0.25" in chart.picture
    assert heat_chart("alone", [[2.0]], ["a"]).strongest == 2.0
    assert "nan" not in heat_chart("zero", [[0.0]], ["a"]).picture
