import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mixer.sampling.functions import Rehydration, Sigmoid, token_rank

TOKENS = np.array([100.0, 100.0, 100.0, 100.0])


def rates(function: Sigmoid, quality: list[float], tokens: np.ndarray = TOKENS) -> np.ndarray:
    return function.rates({"quality": np.array(quality)}, tokens)


def test_the_best_come_often_those_beyond_the_cutoff_at_the_floor() -> None:
    function = Sigmoid(scores={"quality": 1.0}, steepness=1000.0, cutoff=0.5, power=2, floor=0.25)
    # Ranks 0.5, 0, 0.75, 0.25: at the cut-off a document comes once.
    np.testing.assert_allclose(rates(function, [2.0, 9.0, 1.0, 3.0]), [1.25, 4.25, 0.25, 4.25])


def test_the_published_formula() -> None:
    function = Sigmoid(scores={"quality": 1.0}, steepness=3.0, cutoff=0.6, power=1.5, floor=0.1)
    rank = np.array([0.75, 0.5, 0.25, 0.0])
    expected = (2 / (1 + np.exp(-3 * (0.6 - rank)))) ** 1.5 + 0.1
    expected[0] = 0.1
    np.testing.assert_allclose(rates(function, [1.0, 2.0, 3.0, 4.0]), expected, rtol=1e-12)


def test_ranks_are_shares_of_tokens_not_of_documents() -> None:
    function = Sigmoid(scores={"quality": 1.0}, steepness=1000.0, cutoff=0.5, power=1)
    tokens = np.array([800.0, 100.0, 100.0])
    assert rates(function, [3.0, 2.0, 1.0], tokens)[1] == 0.0
    assert rates(function, [1.0, 2.0, 3.0], tokens)[1] == pytest.approx(2.0)


def test_scores_are_merged_by_their_ranks() -> None:
    function = Sigmoid(scores={"a": 3.0, "b": 1.0}, steepness=1000.0, cutoff=0.2, power=1)
    scores = {"a": np.array([0.1, 0.2, 0.3, 1e6]), "b": np.array([9.0, 8.0, 7.0, 6.0])}
    assert function.rates(scores, TOKENS).argmax() == 3
    assert function.needs == ("a", "b")


@given(
    quality=st.lists(st.floats(-1e3, 1e3), min_size=1, max_size=40),
    steepness=st.floats(0.1, 1e3),
    cutoff=st.floats(0.01, 1.0),
    power=st.floats(0.0, 5.0),
)
def test_a_better_document_never_comes_less_often(
    quality: list[float], steepness: float, cutoff: float, power: float
) -> None:
    function = Sigmoid(
        scores={"quality": 1.0}, steepness=steepness, cutoff=cutoff, power=power, floor=0.01
    )
    found = rates(function, quality, np.full(len(quality), 50.0))
    in_order = found[np.argsort(quality, kind="stable")]
    assert (np.diff(in_order) >= -1e-12).all()
    assert found.min() >= 0.01
    assert found.max() <= 2**power + 0.01


def test_of_equal_scores_a_cutoff_keeps_its_share() -> None:
    rank = token_rank(np.zeros(10), np.full(10, 5.0))
    np.testing.assert_allclose(rank, np.arange(10) / 10)


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"scores": {}}, "scores must have positive weights"),
        ({"cutoff": 0.0}, r"cutoff must be in \(0, 1\], got 0"),
        ({"steepness": -1.0}, "steepness must be positive"),
        ({"power": 9.0}, "at most 100 readings per epoch, got 512"),
        ({"floor": -1.0}, "power and floor must be at least 0"),
    ],
)
def test_settings_out_of_bounds_are_refused(settings: dict[str, object], reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        Sigmoid(**({"scores": {"quality": 1.0}} | settings))  # type: ignore[arg-type]


def test_documents_without_a_score_are_counted() -> None:
    with pytest.raises(ValueError, match="2 of 3 documents have no score 'quality'"):
        rates(Sigmoid(scores={"quality": 1.0}), [1.0, np.nan, np.nan], TOKENS[:3])


def test_clusters_of_proven_quality_come_back() -> None:
    size = np.array([1.0, 1.0, 4.0, 4.0])
    removed = np.array([0.9, 0.9, 0.1, 0.1])
    found = Rehydration(most=5.0).rates({"minhash_cluster_size": size, "removed": removed}, TOKENS)
    # Of all documents 0.26 were removed: single ones come once, those of clusters of four most.
    np.testing.assert_allclose(found, [1.0, 1.0, 5.0, 5.0])
    half_way = np.array([0.9, 0.9, 0.1, (0.1 + (0.9 * 2 + 0.1 * 4) / 6) / 2])
    size = np.array([1.0, 1.0, 4.0, 1e-9 + 1])
    rates_ = Rehydration(most=5.0).rates(
        {"minhash_cluster_size": size, "removed": half_way}, TOKENS
    )
    assert rates_[2] == 5.0
    assert 1.0 < rates_[3] < 5.0


def test_where_filters_were_alike_all_come_once() -> None:
    same = {"minhash_cluster_size": np.array([1.0, 2.0, 8.0, 3.0]), "removed": np.full(4, 0.3)}
    np.testing.assert_array_equal(Rehydration().rates(same, TOKENS), np.ones(4))


def test_parts_and_sizes_that_cannot_be_are_refused() -> None:
    scores = {"minhash_cluster_size": np.array([0.0, 2.0]), "removed": np.array([0.3, 0.2])}
    with pytest.raises(ValueError, match="minhash_cluster_size must be at least 1"):
        Rehydration().rates(scores, TOKENS[:2])
    with pytest.raises(ValueError, match="most must be from 1 to 100, got 0"):
        Rehydration(most=0.0)
