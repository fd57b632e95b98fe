"""What a profile shows of its evidence."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import numpy as np
import pytest
from tests.probing.chains import Chain, plain_chain

from initlab.core.errors import InitlabError
from initlab.core.signals.readings import WeightGradient
from initlab.probing.diagnosis import Diagnosis
from initlab.probing.measure.metrics import Compared
from initlab.probing.measure.weights import facts_of, mean_square
from initlab.probing.profile import Profile
from initlab.probing.records import Finding
from initlab.probing.show.profile_text import compact


@pytest.fixture(scope="module")
def profile() -> Profile:
    return Profile(plain_chain("relu", [32, *[64] * 6, 10], var=2.0))


@pytest.fixture(scope="module")
def deep() -> Profile:
    return Profile(plain_chain("relu", [32, *[64] * 100, 10], var=2.0, rows=8))


def test_every_weighted_layer_has_a_row_with_the_activation_behind_it(profile: Profile) -> None:
    assert [row.path for row in profile.rows] == [f"fc{i}" for i in range(7)]
    assert [row.activation for row in profile.rows[-2:]] == ["fc5:relu", ""]
    assert [row.is_hidden for row in profile.rows] == [True] * 6 + [False]


def test_the_table_fits_80_columns(profile: Profile) -> None:
    assert max(map(len, profile.text(80).splitlines())) <= 80


def test_at_160_columns_all_numbers_of_a_layer_stand_in_one_line(profile: Profile) -> None:
    wide = profile.text(160).splitlines()
    assert max(map(len, wide)) <= 160
    assert sum(line.startswith("fc3 ") for line in wide) == 1
    assert sum(line.startswith("fc3 ") for line in profile.text(80).splitlines()) == 2


def test_the_legend_tells_the_signs_that_occur_and_no_others(profile: Profile) -> None:
    told = " ".join(profile.text(80).split())
    assert "dead: zero on the whole batch." in told  # of ReLU
    assert "sat:" not in told  # nothing is bounded
    assert ("! is off" in told) == ("!" in told.partition("theory|measured ±")[0])
    tanh = " ".join(Profile(plain_chain("tanh", [32, *[64] * 6, 10], var=1.0)).text(80).split())
    assert "dead:" not in tanh


def test_a_net_of_100_layers_fits_a_screen_and_shows_its_ends(deep: Profile) -> None:
    lines = deep.text(160).splitlines()
    assert len(lines) < 60
    assert any(line.startswith("fc0 ") for line in lines)
    assert any(line.startswith("fc100 ") for line in lines)


def test_no_layer_that_is_off_theory_is_folded_away(deep: Profile) -> None:
    rows = list(deep.evidence.reading.forward.items())
    index, sums = rows[101]
    louder = {**deep.evidence.reading.forward, index: replace(sums, square=sums.square * 1e6)}
    found = Profile(replace(deep.evidence, reading=replace(deep.evidence.reading, forward=louder)))
    assert any(line.startswith(deep.evidence.reading.places[index].path.split(":")[0] + " ") and "!" in line
               for line in found.text(160).splitlines())  # fmt: skip


def test_names_cannot_control_a_terminal_or_a_page(profile: Profile) -> None:
    found = Profile(replace(profile.evidence, model="<script>\x1b[2J", notes=("<b>",)))
    assert "\x1b" not in found.text(80)
    assert "<script>" not in found._repr_html_()
    assert "<b></p>" not in found._repr_html_()


def test_the_data_are_json_without_nan(profile: Profile) -> None:
    data = json.loads(json.dumps(profile.to_dict(), allow_nan=False))
    assert len(data["rows"]) == 7
    assert data["rows"][0]["signal"]["measured"] == profile.rows[0].signal.measured


def test_stats_hold_the_numbers_of_sums_and_activations(profile: Profile) -> None:
    found = {(stat.path, stat.metric): stat for stat in profile.stats}
    forward = profile.evidence.reading.forward
    assert found["fc0", "signal"].measured == forward[1].square
    assert found["fc0:relu", "activation"].measured == forward[2].square
    assert found["fc3", "gradient"].predicted == profile.rows[3].gradient.predicted


def test_the_gradient_ratio_is_one_of_squared_norms() -> None:
    found = Profile(plain_chain("identity", [64, 400, 100, 10], var=1.0))
    # Linear layers at 1 / fan_in: a squared norm grows by fan_out / fan_in on its way back, an entry's square by
    # fan_out * var / fan_in = 100 / 400.
    assert found.gradient_ratio.predicted == pytest.approx(1.0, rel=0.05)


def test_units_that_no_row_wakes_are_told_beside_what_correlation_explains() -> None:
    chain = Chain(np.random.default_rng(0))
    hidden = chain.act(chain.dense(chain.start(chain.rng.normal(size=(4, 64))), 2000, var=2.0), "relu")
    chain.dense(hidden, 3, var=1.0)
    dead = Profile(chain.end()).rows[0].dead
    # Four independent rows: all below zero with probability 1/16; five deviations of 2000 units.
    assert dead.predicted == pytest.approx(1.0 / 16.0, abs=0.02)
    assert dead.measured == pytest.approx(1.0 / 16.0, abs=5.0 * math.sqrt(15.0 / 256.0 / 2000.0))


def test_a_measurement_far_from_theory_is_marked() -> None:
    assert Compared(1.0, 10.0, stderr=0.1).is_off
    assert not Compared(1.0, 1.1, stderr=0.05).is_off
    assert not Compared(None, 10.0).is_off
    assert Compared(1.0, 0.0).is_off


@pytest.mark.parametrize("value", [1.0, -0.012, 999.6, 12345.6, 1e-30, -3.4e30, 0.00999, math.inf, math.nan, 0.0])
def test_a_number_takes_at_most_seven_characters(value: float) -> None:
    assert len(compact(value)) <= 7


# What the weights hold


def test_clones_have_one_digest_and_other_numbers_another() -> None:
    x = np.random.default_rng(0).normal(size=(8, 4)).astype(np.float32)
    same, other = facts_of(x.copy(), native="b"), facts_of(x + 1, native="c")
    assert facts_of(x, native="a").digest == same.digest != other.digest
    assert facts_of(x.reshape(4, 8), native="d").digest != same.digest


def test_equal_rows_are_counted_and_zero_rows_are_not() -> None:
    x = np.random.default_rng(0).normal(size=(6, 5))
    x[3], x[5], x[2], x[4] = x[0], x[0], 0.0, 0.0
    assert facts_of(x, native="w").equal_units == 2


def test_rows_that_agree_at_their_ends_alone_are_not_equal() -> None:
    x = np.random.default_rng(0).normal(size=(6, 5))
    x[:, [0, -1]] = 1.0
    assert facts_of(x, native="w").equal_units == 0


def test_broken_entries_are_counted_and_left_out_of_the_moments() -> None:
    facts = facts_of(np.array([3.0, np.nan, -3.0, np.inf]), native="w")
    assert (facts.broken, facts.mean, facts.std, facts.largest) == (2, 0.0, 3.0, 3.0)


def test_a_parameter_without_a_finite_entry_has_no_moments() -> None:
    facts = facts_of(np.full(3, np.nan), native="w")
    assert math.isnan(facts.std)
    assert mean_square(facts) == 0.0


def test_moments_of_float32_entries_are_those_of_float64() -> None:
    x = (1e4 + np.random.default_rng(0).normal(size=100_000)).astype(np.float32)
    assert facts_of(x, native="w").std == pytest.approx(x.astype(np.float64).std(), rel=1e-6)


def test_a_layer_shows_its_update_beside_its_weights() -> None:
    evidence = plain_chain("relu", [8, 16, 3], var=2.0)
    weights = {n: replace(f, update_ratio=0.25) for n, f in evidence.weights.items()}
    assert Profile(replace(evidence, weights=weights)).rows[0].update_ratio == 0.25


def test_weights_of_a_torch_model_are_read_with_their_precision_ties_and_gradients() -> None:
    torch = pytest.importorskip("torch")
    from initlab.frameworks.torch.adapter import ADAPTER
    from initlab.probing.measure.weights import weight_facts

    net = torch.nn.Sequential(torch.nn.Linear(4, 4, bias=False), torch.nn.Linear(4, 4, bias=False)).half()
    net[1].weight = net[0].weight
    with torch.no_grad():
        net[0].weight.fill_(2.0)
    found = weight_facts(net, ADAPTER, ADAPTER.describe(net), {"0.weight": WeightGradient(1.0, 0)})
    assert found["0.weight"].smallest_normal == 2.0**-14
    assert found["0.weight"].update_ratio == 0.5
    assert found["1.weight"].digest == found["0.weight"].digest


def test_an_alarm_is_raised_as_an_error_with_its_fix(profile: Profile, monkeypatch: pytest.MonkeyPatch) -> None:
    alarm = Finding("vanishing gradient", "alarm", ("fc0",), "the gradient falls 1000 times", "use he_normal")
    note = Finding("symmetry", "note", ("fc1",), "two units are equal", "draw them")
    monkeypatch.setattr("initlab.probing.profile.diagnose", lambda *_: Diagnosis("Chain", (alarm, note)))
    with pytest.raises(InitlabError, match=r"^Chain is sick: vanishing gradient.*: use he_normal$") as caught:
        profile.assert_healthy()
    assert "symmetry" not in str(caught.value)
