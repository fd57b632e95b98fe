"""What a diagnosis finds in models whose numbers are known, and how it tells it."""

from __future__ import annotations

import csv
import json
import math
import sys
from dataclasses import replace
from functools import cache
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

import numpy as np
import pytest
from tests.probing.chains import Chain, plain_chain

import initlab
from initlab.core.errors import InitlabError, OptionError
from initlab.core.signals.readings import Place, Reading
from initlab.probing.checks.limits import Limits
from initlab.probing.checks.signal import Course
from initlab.probing.diagnosis import Diagnosis, diagnose
from initlab.probing.measure.trunk import trunk
from initlab.probing.profile import Profile
from initlab.probing.records import Evidence, Finding

torch = pytest.importorskip("torch")

GAIN = 1.5925  # 1 / sqrt(E tanh(z)^2) of a standard normal z
EDGE, EDGE_BIAS = 1.76095, math.sqrt(0.05)  # sigma_w^2 of tanh's edge of chaos at sigma_b^2 = 0.05


def kinds(found: Diagnosis) -> set[str]:
    return {finding.kind for finding in found.alarms}


@cache
def tanh_chain(depth: int) -> Evidence:
    return plain_chain("tanh", [128] * (depth + 1) + [10], var=GAIN**2, first=GAIN**2)


# Numbers of theory


def test_fifty_tanh_layers_at_the_forward_gain_are_not_healthy_and_chi_1_is_told() -> None:
    found = diagnose(tanh_chain(50))
    assert "chaotic phase" in kinds(found)
    assert "exploding gradient" in found
    assert found.verdict == "hard"  # half of the digits by Adam in 200 steps, none by SGD
    chi = next(finding.value for finding in found.findings if finding.kind == "chaotic phase")
    # chi_1 at the forward gain (theory.chi_1("tanh") with E z^2 = 1) is 1.178; the weights are a draw of it.
    assert chi == pytest.approx(1.178, abs=0.02)


@pytest.mark.parametrize("depth", [10, 20, 50])
def test_the_gradient_ratio_of_tanh_at_the_forward_gain_is_within_a_factor_2_of_theory(depth: int) -> None:
    # Of the draws of this net at depth 50 two thirds lie within e^1.2 of theory; this is one draw.
    assert 0.5 < Profile(tanh_chain(depth)).gradient_ratio.ratio < 2.0


def test_thirty_tanh_layers_on_the_edge_of_chaos_are_healthy() -> None:
    found = diagnose(plain_chain("tanh", [128] * 31 + [10], var=EDGE, first=EDGE, bias=EDGE_BIAS))
    assert found.healthy, str(found)


@pytest.mark.parametrize("seed", range(3))
def test_twenty_he_relu_layers_of_width_128_are_healthy(seed: int) -> None:
    found = diagnose(plain_chain("relu", [128] * 21 + [10], var=2.0, seed=seed))
    assert found.healthy, str(found)


def test_torchs_default_linear_loses_signal_and_samples_in_ten_relu_layers() -> None:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        layers = [part for _ in range(10) for part in (torch.nn.Linear(256, 256), torch.nn.ReLU())]
        model, x = torch.nn.Sequential(*layers, torch.nn.Linear(256, 10)), torch.randn(64, 256)
    profile = initlab.probe(model, x)
    # By theory 8e-4; the std of its logarithm at this width is 0.3.
    assert profile.hidden[-1].after.measured == pytest.approx(8e-4, rel=0.5)
    found = profile.diagnose()
    assert {"vanishing gradient", "inputs mapped to one point"} <= kinds(found)
    assert "vanishing forward signal" in found
    assert found.verdict == "hard"


def test_a_tied_standard_normal_embedding_costs_75_where_a_guess_costs_7() -> None:
    from initlab.museum.exhibits import exhibit
    from initlab.museum.visit import built_twin

    one = exhibit(6)
    profile = initlab.probe(built_twin(one, "broken"), *one.batch())
    assert profile.evidence.reading.loss == pytest.approx(75.0, rel=0.05)
    finding = next(f for f in profile.diagnose().findings if f.kind == "output scale")
    assert f"ln 1000 = {math.log(1000):.2f}" in finding.what
    assert finding.severity == "alarm"


def test_a_cloned_encoder_has_12_of_12_tensors_identical() -> None:
    from initlab.museum.exhibits import exhibit
    from initlab.museum.visit import built_twin

    found = initlab.probe(built_twin(exhibit(7), "broken"), *exhibit(7).batch()).diagnose()
    finding = next(f for f in found.findings if f.kind == "cloned layers")
    assert finding.what.startswith("12 of 12 tensors are identical across 4 layers")


def test_missing_residual_scaling_names_every_projection_and_its_factor() -> None:
    from initlab.museum.exhibits import exhibit
    from initlab.museum.visit import built_twin

    found = initlab.probe(built_twin(exhibit(8), "broken"), *exhibit(8).batch()).diagnose()
    finding = next(f for f in found.findings if f.kind == "residual scaling absent")
    assert len(finding.where) == 12
    assert all("c_proj" in name for name in finding.where)
    assert "1/sqrt(2L) = 0.289, L = 6" in finding.what  # 1 / sqrt(12)


# What counts and what does not


def test_a_wrong_scale_before_a_batch_norm_is_a_note() -> None:
    chain = Chain(np.random.default_rng(0))
    at = chain.start(chain.rng.normal(size=(64, 64)))
    for layer in range(6):
        at = chain.act(chain.batch_norm(chain.dense(at, 64, var=2.0 * 4.0**layer)), "relu")
    chain.dense(at, 10, var=1.0)
    found = diagnose(chain.end())
    assert found.healthy, str(found)
    assert "exploding forward signal" in found


def test_two_glorot_sigmoid_layers_that_lose_the_samples_are_a_note() -> None:
    found = diagnose(plain_chain("sigmoid", [64, 64, 64, 10], var=1.0))
    assert found.healthy, str(found)


def test_eight_glorot_sigmoid_layers_are_an_alarm() -> None:
    found = diagnose(plain_chain("sigmoid", [64] * 9 + [10], var=1.0))
    assert {"vanishing gradient", "inputs mapped to one point"} <= kinds(found)


def test_a_critical_tanh_that_fades_like_one_over_the_depth_is_healthy() -> None:
    found = diagnose(plain_chain("tanh", [128] * 31 + [10], var=1.0))
    assert found.healthy, str(found)


def test_zero_weights_that_get_a_gradient_are_no_finding() -> None:
    net = torch.nn.Sequential(torch.nn.Linear(8, 16), torch.nn.Tanh(), torch.nn.Linear(16, 3))
    torch.nn.init.zeros_(net[2].weight)
    found = initlab.probe(net, np.random.default_rng(0).normal(size=(32, 8)).astype(np.float32), np.arange(32) % 3)
    assert "zero weights that block learning" not in found.diagnose()


def test_dead_units_that_the_likeness_of_the_samples_explains_are_no_finding() -> None:
    chain = Chain(np.random.default_rng(0))
    base = chain.rng.normal(size=(1, 64))
    # Samples of cosine 0.9999: nearly half of the units are below zero on all of them.
    x = base + 0.01 * chain.rng.normal(size=(32, 64))
    chain.dense(chain.act(chain.dense(chain.start(x), 256, var=2.0), "relu"), 3, var=1.0)
    evidence = chain.end()
    assert Profile(evidence).rows[0].dead.measured > 0.4
    assert "dead units" not in diagnose(evidence)


def test_a_parameter_with_a_broken_entry_is_named() -> None:
    evidence = plain_chain("relu", [8, 16, 3], var=2.0)
    weights = {**evidence.weights, "fc1.weight": replace(evidence.weights["fc1.weight"], broken=2)}
    finding = diagnose(replace(evidence, weights=weights)).findings[0]
    assert (finding.kind, finding.where) == ("uninitialised values", ("fc1.weight",))


def test_a_resnet_18_is_healthy_although_its_gradient_is_steep() -> None:
    from tests.probing.torch_nets import ResNet18

    with torch.random.fork_rng():
        torch.manual_seed(0)
        model, x = ResNet18(width=8), torch.randn(16, 3, 32, 32)
    found = initlab.probe(model, x, np.arange(16) % 10).diagnose()
    assert found.healthy, str(found)


def test_units_that_a_single_sample_leaves_at_zero_are_no_finding() -> None:
    assert diagnose(plain_chain("relu", [64, 64, 10], var=2.0, rows=1)).healthy


# The trunk


def test_masks_and_tables_that_reach_every_layer_do_not_hide_the_trunk() -> None:
    places = (
        Place("input", "x"), Place("input", "mask"), Place("weighted", "a", (0,)), Place("sum", "masked", (2, 1)),
        Place("weighted", "b", (3,)), Place("sum", "masked#2", (4, 1)), Place("weighted", "c", (5,)),
    )  # fmt: skip
    found = trunk(Reading(places, (6,), {}, {}, {}, 0.0, 0.0, "random"))
    assert [places[station.index].path for station in found] == ["a", "b", "c"]


def test_positions_added_to_words_are_no_residual_sum() -> None:
    table = {"table": 1.0}
    places = (
        Place("input", "words"), Place("weighted", "wte", (0,), facts=table), Place("weighted", "wpe", facts=table),
        Place("sum", "add", (1, 2)), Place("norm", "ln", (3,)), Place("weighted", "fc", (4,)),
        Place("sum", "add#2", (3, 5)), Place("weighted", "head", (6,)),
    )  # fmt: skip
    found = trunk(Reading(places, (7,), {}, {}, {}, 0.0, 0.0, "random"))
    assert [(places[s.index].path, s.is_residual) for s in found] == [("add#2", True), ("head", False)]


# Limits


def test_every_limit_has_a_reason_and_is_printed_with_it() -> None:
    limits = Limits()
    assert set(limits.reasons) == set(limits.to_dict())
    assert all(reason in str(limits) for reason in limits.reasons.values())


def test_a_limit_can_be_moved_and_a_moved_one_is_told() -> None:
    evidence = plain_chain("relu", [64] * 9 + [10], var=0.01)
    assert diagnose(evidence).verdict == "sick"
    verdicts = [diagnose(evidence, Limits(fade_hard=hard, fade_sick=1e41)).verdict for hard in (1e6, 1e40)]
    assert verdicts == ["hard", "healthy"]
    assert "limits that are not the defaults: fade_hard 1e+40" in str(diagnose(evidence, Limits(fade_hard=1e40)))


@pytest.mark.parametrize("value", [0.0, -1.0, math.nan, math.inf])
def test_a_limit_that_is_no_positive_number_is_refused(value: float) -> None:
    with pytest.raises(OptionError, match="ratio"):
        Limits(ratio=value)


def test_chance_widens_the_ratio() -> None:
    course = Course(("a", "b"), (1.0, 15.0), (None, None), scatter=0.0)
    assert course.strays(Limits())
    assert not replace(course, scatter=0.2).strays(Limits())  # 10 e^0.6 = 18.2


# How it is told


@pytest.fixture(scope="module")
def sick() -> Diagnosis:
    return diagnose(plain_chain("sigmoid", [64] * 18 + [10], var=1.0))


def test_a_diagnosis_fits_80_columns_and_begins_with_the_verdict(sick: Diagnosis) -> None:
    lines = str(sick).splitlines()
    assert max(map(len, lines)) <= 80
    assert lines[0].startswith("Chain is sick: ")


def test_alarms_come_before_notes() -> None:
    chain = plain_chain("relu", [64] * 52 + [10], var=2.6)
    severities = [finding.severity for finding in diagnose(chain).findings]
    assert severities == sorted(severities)
    assert len(severities) > 1


def test_a_diagnosis_is_json_without_nan(sick: Diagnosis) -> None:
    data = json.loads(json.dumps(sick.to_dict(), allow_nan=False))
    assert data["healthy"] is False
    assert data["findings"][0]["where"] == list(sick.findings[0].where)


def test_names_cannot_control_a_terminal_or_a_page() -> None:
    finding = Finding("dead units", "alarm", ("<script>\x1b[2J",), "<b>", "</li>")
    found = Diagnosis("<i>\x1b[2J", (finding,))
    assert "\x1b" not in str(found) + found._repr_html_()
    assert not any(tag in found._repr_html_() for tag in ("<script>", "<b></", "<i>", "</li></li>"))


def test_assert_healthy_raises_with_the_findings() -> None:
    profile = Profile(plain_chain("sigmoid", [64] * 18 + [10], var=1.0))
    with pytest.raises(InitlabError, match="vanishing gradient"):
        profile.assert_healthy()


def test_a_profile_and_its_evidence_have_one_diagnosis() -> None:
    profile = Profile(plain_chain("relu", [8, 16, 3], var=2.0))
    assert diagnose(profile).findings == diagnose(profile.evidence).findings == profile.diagnose().findings


# Sixty nets and what became of them


DOCS = Path(__file__).parents[2] / "docs"


def table_of_nets() -> list[dict[str, str]]:
    with (DOCS / "probe_nets.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_no_net_that_the_probe_calls_healthy_failed_to_train() -> None:
    rows = table_of_nets()
    healthy = [row for row in rows if not row["alarm"]]
    assert len(rows) >= 60
    assert len(healthy) >= 20
    by_sgd = [row for row in healthy if max(float(row["sgd 0.03"]), float(row["sgd 0.003"])) < 0.3]
    assert [row for row in by_sgd if float(row["adam 0.001"]) < 0.5] == []
    # Two train by SGD at the rates of 0.3 and 3; a sigmoid net with layer norms is hard, and not found.
    assert {(row["activation"], row["depth"]) for row in by_sgd} <= {("sigmoid", "4"), ("sigmoid", "8")}


@pytest.mark.soak
def test_the_table_of_nets_says_what_the_probe_says() -> None:
    spec = spec_from_file_location("probe_nets", DOCS / "probe_nets.py")
    assert spec is not None
    assert spec.loader is not None
    module = sys.modules["probe_nets"] = module_from_spec(spec)
    spec.loader.exec_module(module)
    x, y = module.digits()
    for net, row in zip(module.nets(), table_of_nets(), strict=True):
        with torch.random.fork_rng():
            torch.manual_seed(0)
            model = module.build(net)
        found = initlab.probe(model, x[:256], y[:256]).diagnose()
        assert "; ".join(finding.kind for finding in found.alarms) == row["alarm"], net
