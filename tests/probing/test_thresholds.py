"""Where a verdict turns and how far a prediction may stray: both sides of a limit, scatter and norms in closed form."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from tests.probing.chains import Chain, plain_chain

import initlab
from initlab.core.facts.spec import ParamSpec
from initlab.core.signals.readings import Place
from initlab.frameworks.reading.guess import uniform_guess
from initlab.probing.checks.limits import Limits
from initlab.probing.diagnosis import diagnose
from initlab.probing.measure.weights import facts_of
from initlab.probing.predict.norms import directions_left, normalised
from initlab.probing.predict.signals import Signal
from initlab.probing.records import Evidence, Expected


def at(evidence: Evidence, path: str) -> Expected:
    index = next(i for i, place in enumerate(evidence.reading.places) if place.path == path)
    return evidence.expected[index]


# The scatter of finite widths


def test_of_one_sample_a_linear_layer_of_n_units_strays_by_two_over_n() -> None:
    evidence = plain_chain("identity", [64, 50, 25, 10], var=1.0, rows=1)
    assert at(evidence, "fc0").scatter ** 2 == pytest.approx(2 / 50)
    assert at(evidence, "fc1").scatter ** 2 == pytest.approx(2 / 50 + 2 / 25)
    assert at(evidence, "fc2").scatter ** 2 == pytest.approx(2 / 50 + 2 / 25 + 2 / 10)


def test_a_gradient_strays_by_two_over_the_units_that_it_reaches() -> None:
    chain = Chain(np.random.default_rng(3))
    last = chain.start(chain.rng.normal(size=(1, 64)))
    for width in (50, 25, 10):
        last = chain.dense(last, width, var=1.0)
    evidence = chain.end()
    assert at(evidence, "fc2").gradient_scatter == 0.0  # it is given
    assert at(evidence, "fc1").gradient_scatter ** 2 == pytest.approx(2 / 25)
    assert at(evidence, "fc0").gradient_scatter ** 2 == pytest.approx(2 / 25 + 2 / 50)


# Norms


@pytest.mark.parametrize(
    ("facts", "shape", "share"),
    [
        # 2 of n directions go, 1 / v of n - 1 degrees of freedom is n / (n - 3) of 1 / E v.
        ({"norm": "layer"}, (4, 9), (1 - 2 / 9) * 9 / 6),
        # Nothing is centred: 1 direction goes, and n / (n - 2).
        ({"norm": "rms"}, (4, 9), 8 / 7),
        ({"norm": "rms"}, (4, 3), 1.0),  # E 1 / v needs more
        ({"norm": "group", "groups": 2}, (4, 6, 5), (1 - 2 / 15) * 15 / 12),
        ({"norm": "instance"}, (4, 6, 5), (1 - 2 / 5) * 5 / 2),
        ({"norm": "batch"}, (8, 6), (1 - 2 / 8) * 8 / 5),
    ],
)
def test_a_norm_lets_the_rest_of_its_directions_through(facts: dict, shape: tuple[int, ...], share: float) -> None:
    place = Place("norm", "n", shape=shape, units=1 if len(shape) > 2 else -1, facts=facts)
    assert directions_left(place, shared=0.0) == pytest.approx(share)


def test_an_rms_norm_of_real_numbers_lets_that_share_of_a_gradient_through() -> None:
    n, rng = 9, np.random.default_rng(1)
    x, g = rng.normal(size=(2, 400_000, n))
    rms = np.sqrt(np.mean(x * x, axis=1, keepdims=True))
    back = (g - x / rms * np.mean(g * x / rms, axis=1, keepdims=True)) / rms
    # 1 / v of a chi-square with 9 degrees has a relative std of sqrt(2 / 5).
    assert np.mean(back * back) == pytest.approx(8 / 7, rel=5.0 * math.sqrt(1.0 / 400_000))


@pytest.mark.parametrize("kind", ["layer", "rms"])
def test_a_norm_divides_by_what_is_left_beside_its_eps(kind: str) -> None:
    place = Place("norm", "n", shape=(4, 32), params=("n.weight",), facts={"norm": kind, "eps": 0.5})
    held = np.full(32, 1.5)
    p = ParamSpec(path="n/scale", native="n.weight", shape=(32,), role="norm_scale")
    before = Signal(4.0, mean=1.0, cosine=0.7, common=0.7)
    found = normalised(place, before, {"n.weight": p}, {"n.weight": facts_of(held, native="n.weight")})
    assert not isinstance(found, str)
    spread = 3.0 if kind == "layer" else 4.0
    assert found.signal.square == pytest.approx(2.25 * spread / (spread + 0.5))
    assert found.slope == pytest.approx(2.25 / (spread + 0.5))
    assert found.signal.cosine == pytest.approx((0.7 * 4.0 - (4.0 - spread)) / spread)
    # A root mean square leaves the mean, divided like the rest.
    assert found.signal.mean == pytest.approx(0.0 if kind == "layer" else 1.5 * 1.0 / math.sqrt(4.5))


# Behind what theory does not follow


def test_behind_max_pooling_the_walk_goes_on_with_the_cosine_that_was_measured() -> None:
    torch = pytest.importorskip("torch")
    nn = torch.nn
    torch.manual_seed(2)
    layers = nn.Conv2d(3, 12, 3, bias=False), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(12, 40, 3, bias=False), nn.ReLU()
    evidence = initlab.probe(nn.Sequential(*layers, nn.Flatten()), torch.randn(16, 3, 14, 14)).evidence
    kinds = [place.kind for place in evidence.reading.places]
    assert kinds[2:6] == ["activation", "pool", "weighted", "activation"]
    c = evidence.reading.forward[4].cosine
    assert 0.5 < c < 0.95
    assert evidence.expected[4].cosine == c
    mapped = (math.sqrt(1.0 - c * c) + c * (math.pi - math.acos(c))) / math.pi
    assert evidence.expected[5].cosine == pytest.approx(mapped)


# The sides of a limit

VANISHING = plain_chain("tanh", [64, *[128] * 12, 10], var=0.3, seed=4)
EXPLODING = plain_chain("relu", [64, *[128] * 12, 10], var=6.0, seed=4)


@pytest.mark.parametrize(
    ("evidence", "kind"),
    [
        (VANISHING, "vanishing forward signal"),
        (VANISHING, "vanishing gradient"),
        (EXPLODING, "exploding forward signal"),
        (EXPLODING, "exploding gradient"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_finding_names_the_limit_that_its_value_passed(evidence: Evidence, kind: str) -> None:
    (found,) = [finding for finding in diagnose(evidence).findings if finding.kind == kind]
    allowed = Limits().ratio
    if "vanishing" in kind:
        assert found.value < found.limit <= 1.0 / allowed
    else:
        assert found.value > found.limit >= allowed
    # No scatter is allowed for: the bare ratio. Beyond the value nothing is found.
    bare = next(f for f in diagnose(evidence, Limits(deviations=1e-12)).findings if f.kind == kind)
    assert max(bare.limit, 1.0 / bare.limit) == pytest.approx(allowed, rel=1e-6)
    beyond = Limits(deviations=1e-12, ratio=max(found.value, 1.0 / found.value) * 1.01)
    assert kind not in [f.kind for f in diagnose(evidence, beyond).findings]


def test_a_signal_may_fade_like_one_over_the_depth_while_its_gradient_holds() -> None:
    evidence = plain_chain("tanh", [64, *[256] * 24, 10], var=1.0, seed=6)
    assert "vanishing forward signal" not in [f.kind for f in diagnose(evidence).findings]
    ratio = initlab.probing.profile.Profile(evidence).signal_ratio.measured
    # 24 layers may fade by 24 times the limit: at a limit just below the ratio over 24 it is found.
    tight = Limits(ratio=1.0 / ratio / 24 * 0.99, deviations=1e-12)
    assert "vanishing forward signal" in [f.kind for f in diagnose(evidence, tight).findings]


def loss_kinds(loss: float, *, limits: Limits | None = None, error: float = 0.0) -> list[str]:
    """What is said of a loss of a model of 10 classes whose theory says 2.5."""
    evidence = plain_chain("relu", [64, 100, 10], var=2.0, seed=3)
    reading = replace(evidence.reading, loss=loss, loss_error=error, loss_kind="cross_entropy")
    told = diagnose(replace(evidence, reading=reading, loss=2.5, loss_scatter=0.0), limits)
    return [finding.kind for finding in told.findings if "loss" in finding.kind or "output" in finding.kind]


@pytest.mark.parametrize(("loss", "off"), [(2.74, False), (2.76, True), (2.26, False), (2.24, True)])
def test_a_loss_may_be_off_by_a_tenth_of_its_prediction(loss: float, off: bool) -> None:
    assert loss_kinds(loss) == (["loss off its prediction"] if off else [])


def test_a_loss_may_be_off_by_three_of_its_errors_besides() -> None:
    assert loss_kinds(2.5 + 0.25 + 0.29, error=0.1) == []
    assert loss_kinds(2.5 + 0.25 + 0.31, error=0.1) == ["loss off its prediction"]
    assert loss_kinds(2.5 + 0.25 + 0.29, error=math.nan) == ["loss off its prediction"]
    assert loss_kinds(2.76, limits=Limits(loss_share=0.2)) == []


@pytest.mark.parametrize(("times", "severity"), [(1.49, None), (1.51, "note"), (2.99, "note"), (3.01, "alarm")])
def test_the_first_loss_is_held_against_the_logarithm_of_the_classes(times: float, severity: str | None) -> None:
    evidence = plain_chain("relu", [64, 100, 10], var=2.0, seed=3)
    reading = replace(evidence.reading, loss=times * math.log(10), loss_error=0.0, guess=uniform_guess(10))
    found = [f for f in diagnose(replace(evidence, reading=reading, loss=None)).findings if f.kind == "output scale"]
    assert [(f.severity, round(f.value, 6)) for f in found] == ([(severity, times)] if severity else [])
