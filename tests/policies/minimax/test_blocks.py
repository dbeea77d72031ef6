"""The randomised design of blocks."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from policies import Task
from policies.minimax.blocks import Schedule, leaning, signs
from policies.minimax.groups import Groups, make_groups
from policies.synthetic import make_task


def grouped(task: Task, families: dict[str, list[str]] | None = None, largest: int = 16) -> Groups:
    return make_groups(task.names, task.unique_tokens, task.prior, families, largest)


@pytest.mark.parametrize("size", [1, 2, 7, 13, 200])
def test_signs_are_nearly_orthogonal_over_a_cycle(size: int) -> None:
    rows = (1 << size.bit_length()) - 1
    table = np.array([signs(np.arange(size), 3, pair) for pair in range(rows)])
    assert set(np.unique(table)) <= {-1.0, 1.0}
    # The signs of a row are flipped or not, which leaves products of two columns as they are.
    products = table.T @ table
    assert np.abs(products - rows * np.eye(size)).max() <= 1


def test_cycles_and_seeds_differ_and_names_carry_the_signs() -> None:
    ranks = np.arange(13)
    first = np.array([signs(ranks, 0, pair) for pair in range(15)])
    assert (first != [signs(ranks, 0, 15 + pair) for pair in range(15)]).any()
    assert (first != [signs(ranks, 1, pair) for pair in range(15)]).any()
    order = np.random.default_rng(0).permutation(13)
    np.testing.assert_array_equal(signs(ranks[order], 0, 4), first[4][order])


@given(st.integers(0, 10_000), st.integers(1, 60), st.floats(0.01, 1.0))
def test_the_blocks_of_a_pair_average_to_the_mixture(seed: int, size: int, lean: float) -> None:
    mixture = np.random.default_rng(seed).dirichlet(np.full(size, 0.5))
    sign = signs(np.arange(size), seed, 0)
    one, other = leaning(mixture, sign, lean), leaning(mixture, -sign, lean)
    np.testing.assert_allclose((one + other) / 2, mixture, atol=1e-15)
    assert min(one.min(), other.min()) >= -1e-15
    np.testing.assert_allclose([one.sum(), other.sum()], 1.0)


def test_every_step_has_its_place() -> None:
    schedule = Schedule(block_steps=3, pairs=2)
    places = [schedule.place(step) for step in range(15)]
    assert places[0] == (-1, 0, False, True)  # Only measured, to start from.
    assert [place.pair for place in places[1:]] == [0] * 6 + [1] * 6 + [-1, -1]
    assert [place.half for place in places[1:13]] == ([0] * 3 + [1] * 3) * 2
    assert [place.begins for place in places[1:13]] == [True, False, False] * 4
    assert [place.ends for place in places[1:13]] == [False, False, True] * 4
    assert not any(place.ends for place in places[13:])


def test_few_domains_are_groups_of_their_own() -> None:
    task = make_task(5)
    groups = grouped(task)
    np.testing.assert_allclose(groups.spread(groups.prior), task.prior)
    np.testing.assert_array_equal(groups.within, np.ones(5))


def test_many_domains_are_grouped_by_size_whatever_their_order() -> None:
    task = make_task(100)
    groups = grouped(task, largest=8)
    assert np.bincount(groups.group).tolist() == [13, 12, 13, 12, 13, 12, 13, 12]
    np.testing.assert_allclose(groups.spread(groups.prior), task.prior)
    for group in range(7):
        largest = task.unique_tokens[groups.group == group].max()
        assert largest <= task.unique_tokens[groups.group == group + 1].min()
    order = np.random.default_rng(0).permutation(100)
    turned = replace(
        task,
        names=tuple(task.names[place] for place in order),
        unique_tokens=task.unique_tokens[order],
        prior=task.prior[order],
    )
    np.testing.assert_array_equal(grouped(turned, largest=8).group, groups.group[order])


def test_families_are_perturbed_together_and_the_rest_is_one_more() -> None:
    task = make_task(5)
    families = {"north": ["d0003", "d0001"], "south": ["d0004"]}
    groups = grouped(task, families)
    assert groups.group.tolist() == [2, 0, 2, 0, 1]
    np.testing.assert_allclose(groups.gather(task.prior), groups.prior)
    np.testing.assert_allclose(groups.spread(groups.prior), task.prior)


def test_a_domain_without_a_share_has_none_in_its_group() -> None:
    prior = np.array([0.5, 0.0, 0.5])
    groups = grouped(replace(make_task(3), prior=prior))
    assert len(groups.prior) == 2
    np.testing.assert_array_equal(groups.spread(np.array([0.25, 0.75])), [0.25, 0.0, 0.75])


def test_families_must_name_domains_once() -> None:
    with pytest.raises(ValueError, match="family 'a' must name domains of the corpus, got 'xx'"):
        grouped(make_task(3), {"a": ["xx"]})
    with pytest.raises(ValueError, match="'d0001' is in two"):
        grouped(make_task(3), {"a": ["d0001"], "b": ["d0001"]})
