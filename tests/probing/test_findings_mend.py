"""What a finding offers mends what it found: its scheme is applied as the finding says, and the model probed again."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache

import pytest
from tests.probing.test_planted import PLANTED, diagnosed, drawn

import initlab
from initlab.core.errors import UnwrittenError
from initlab.core.facts.spec import ModelSpec, ParamSpec
from initlab.core.plans.plan import matches
from initlab.museum.exhibits import DEPOT, EXHIBITS, Exhibit, exhibit
from initlab.museum.visit import built_twin
from initlab.probing.checks.targets import globs_of
from initlab.probing.diagnosis import Diagnosis
from initlab.probing.records import Finding

torch = pytest.importorskip("torch")

EVERY = (*EXHIBITS, *DEPOT)
# The mend of the first is another architecture, residual connections; the second trains, and has notes alone.
NO_SCHEME = {"bare_attention", "depthwise"}


def offers(found: Diagnosis) -> Iterator[tuple[str | dict[str, str], list[str]]]:
    """Each thing that ``initialize`` is told to take, and the alarms that offer it; notes, of a net that trains."""
    alarms = [finding for finding in found.alarms or found.findings if finding.scheme]
    for text in dict.fromkeys(repr(finding.schemes) for finding in alarms):
        same = [finding for finding in alarms if repr(finding.schemes) == text]
        yield same[0].schemes, [finding.kind for finding in same]


def kept(model) -> Callable[[], object]:
    """What puts a model's present weights back."""
    if isinstance(model, torch.nn.Module):
        state = {name: value.clone() for name, value in model.state_dict().items()}
        return lambda: model.load_state_dict(state)
    from keras import ops

    weights = [ops.copy(variable.value) for variable in model.weights]
    return lambda: [variable.assign(value) for variable, value in zip(model.weights, weights, strict=True)]


@dataclass(frozen=True)
class Mended:
    """What became of a model by each thing that its alarms offer."""

    left: dict[str, list[str]]
    """The alarms that offered it and are still there once it is done."""
    first: Diagnosis | None
    """Once what the first alarm offers is done."""


def mended(model, diagnose: Callable[[object], Diagnosis]) -> Mended:
    left, put_back, first = {}, kept(model), None
    broken = diagnose(model)
    for schemes, kinds in offers(broken):
        try:
            initlab.initialize(model, schemes, seed=0)
        except UnwrittenError:  # what the first alarm names stands elsewhere, and is to be mended first
            assert first is not None
            continue
        found = diagnose(model)
        first = found if first is None else first
        after = {finding.kind for finding in (found.alarms if broken.alarms else found.findings)}
        left[repr(schemes)] = [kind for kind in kinds if kind in after]
        put_back()
    return Mended(left, first)


@cache
def museum(number: int, framework: str = "torch") -> Mended:
    one = exhibit(number)
    broken = built_twin(one, "broken", framework=framework)
    return mended(broken, lambda model: initlab.probe(model, *one.batch()).diagnose())


@pytest.mark.parametrize("one", EVERY, ids=lambda one: one.name)
def test_the_scheme_of_every_alarm_ends_it(one: Exhibit) -> None:
    left = museum(one.number).left
    assert bool(left) == (one.name not in NO_SCHEME)
    assert not any(left.values()), left


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # Keras on NumPy 2
@pytest.mark.parametrize("one", [one for one in EVERY if one.keras], ids=lambda one: one.name)
def test_the_scheme_of_every_alarm_ends_it_in_keras(one: Exhibit) -> None:
    pytest.importorskip("keras")
    left = museum(one.number, "keras").left
    assert not any(left.values()), left


@pytest.mark.parametrize("plant", PLANTED, ids=lambda plant: plant.__name__)
def test_the_scheme_of_every_alarm_ends_a_planted_fault(plant: Callable[..., None]) -> None:
    net = drawn(PLANTED[plant][0])
    with torch.no_grad():
        plant(net)
    left = mended(net, diagnosed).left
    assert not any(left.values()), left


@pytest.mark.parametrize("one", [one for one in EVERY if one.name not in NO_SCHEME], ids=lambda one: one.name)
def test_doing_what_the_first_alarm_says_makes_a_healthy_model(one: Exhibit) -> None:
    found = museum(one.number).first
    assert found is not None
    assert found.healthy, str(found)


def test_the_finding_on_zero_queries_names_them_and_leaves_the_other_weights_alone() -> None:
    one = exhibit(11)
    model = built_twin(one, "broken")
    found = initlab.probe(model, *one.batch()).diagnose()
    assert {finding.where[0] for finding in found.alarms} == {"queries"}
    assert all(finding.schemes == {"queries": "normal(std=0.02)"} for finding in found.alarms)
    assert 'initlab.initialize(model, {"queries": "normal(std=0.02)"}, seed=0)' in str(found)
    before = {name: p.clone() for name, p in model.named_parameters()}  # type: ignore[attr-defined]
    initlab.initialize(model, found.alarms[0].schemes, seed=0)
    after = dict(model.named_parameters())  # type: ignore[attr-defined]
    assert {n for n in before if n.endswith("weight") and not torch.equal(before[n], after[n])} == set()
    assert after["queries"].std() > 0.0


def test_a_scheme_for_all_weights_is_one_word_and_one_for_some_a_mapping() -> None:
    finding = Finding("dead units", "alarm", (), "", "", scheme="he_normal")
    assert finding.schemes == "he_normal"
    assert Finding("dead units", "alarm", (), "", "").schemes == ""
    assert Finding("k", "alarm", (), "", "", scheme="zeros", params=("a", "b")).schemes == {"a": "zeros", "b": "zeros"}


@pytest.mark.parametrize("names", [["b.0.w[x]", "b.1.w[x]"], ["b.0.w[x]"], ["b.1.u", "b.0.w[x]", "b.0.u", "b.1.w[x]"]])
def test_globs_match_what_is_wanted_and_nothing_else(names: list[str]) -> None:
    every = [f"b.{i}.{leaf}" for i in range(2) for leaf in ("w[x]", "u", "deep.w[x]")]
    spec = ModelSpec(tuple(ParamSpec(path=name.replace("[x]", ""), native=name, shape=(2, 2)) for name in every))
    globs = globs_of(spec, names)
    assert {p.native for p in spec.params if any(matches(p, glob) for glob in globs)} == set(names)
