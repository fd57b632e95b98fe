"""How many seeds would tell a difference: by statsmodels, and by studies that are drawn."""

from __future__ import annotations

import numpy as np
import pytest
from statsmodels.stats.power import TTestPower

from initlab.study.power import held_up, power_of, power_text, seeds_for, spread_interval
from initlab.study.stats import compare_pairs


@pytest.mark.parametrize(("effect", "pairs"), [(0.4, 1), (0.8, 1), (0.8, 6), (1.3, 15)])
def test_the_seeds_are_those_of_statsmodels(effect: float, pairs: int) -> None:
    theirs = TTestPower().solve_power(effect_size=effect, alpha=0.05 / pairs, power=0.8)
    assert seeds_for(effect, pairs=pairs) == max(6, int(np.ceil(theirs)))
    assert power_of(17, effect=effect, pairs=pairs) == pytest.approx(TTestPower().power(effect, 17, 0.05 / pairs))


def test_the_sign_flips_have_the_power_that_is_told() -> None:
    rng = np.random.default_rng(12)
    seeds = seeds_for(0.9)
    assert seeds is not None
    draws = rng.normal(0.9, 1.0, size=(400, seeds))
    found = [compare_pairs(np.stack([row, np.zeros(seeds)]), names=("a", "b"))[0].p for row in draws]
    assert np.mean(np.array(found, float) <= 0.05) == pytest.approx(0.8, abs=3 * 0.02)


def test_the_spread_lies_in_its_interval_in_four_studies_of_five() -> None:
    spreads = np.random.default_rng(3).normal(0.0, 0.7, size=(4000, 7)).std(axis=1, ddof=1)
    ends = np.array([spread_interval(float(spread), freedom=6) for spread in spreads])
    assert np.mean((ends[:, 0] <= 0.7) & (ends[:, 1] >= 0.7)) == pytest.approx(0.8, abs=3 * 0.0064)


def test_a_winner_on_all_seeds_that_another_pair_hides_is_named_with_it() -> None:
    # Every seed the same, so that under its own signs it is as clear as anything can be.
    scores = np.array([[0.85, 0.86, 0.84, 0.85, 0.87, 0.85], [0.1] * 6, [0.5, 0.3, 0.5, 0.3, 0.3, 0.5], [0.4] * 6])
    names = ("he", "zeros", "a", "b")
    pairs = [pair for pair in compare_pairs(scores, names=names) if {pair.first, pair.second} != {"zeros", "b"}]
    hidden = next(pair for pair in pairs if (pair.first, pair.second) == ("he", "zeros"))
    rows = np.array([scores[names.index(pair.first)] - scores[names.index(pair.second)] for pair in pairs])
    said = held_up(rows, [(pair.first, pair.second) for pair in pairs], pairs)
    assert (hidden.wins, hidden.p is not None and hidden.p > 0.05) == (6, True)
    assert "on all 6 seeds; a against b holds its p up (0.062), 7 seeds like these settle it." in said


def test_no_spread_and_too_small_an_effect_are_said_or_left_out() -> None:
    assert power_text(np.full(6, 0.1), difference=0.02, said="2 points", pairs=1) == ""
    wide = np.array([5.0, -5.0, 5.0, -5.0, 4.0, -4.0])
    assert (
        power_text(wide, difference=0.001, said="0.1", pairs=1)
        == " More than 10,000 seeds would be needed to tell 0.1."
    )
