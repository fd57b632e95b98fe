"""The conformance suite of a framework's adapter: what every framework does alike, on one small chain."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from typing import TypeAlias

import numpy as np

from initlab.api.auditing import audit, lock
from initlab.api.planning import initialize, plan, reset
from initlab.api.probing import probe
from initlab.core.adapter import Adapter, GivenWeights, WeightSource
from initlab.core.errors import OptionError, ShapeError, UnsupportedError
from initlab.core.facts.spec import ParamSpec
from initlab.core.laws import Normal
from initlab.frameworks import FRAMEWORKS, adapter_for, framework_of
from initlab.testing.chains import CHAIN, batch, cross_entropy, held, sums, weight_gradients
from initlab.testing.holding import hold, hold_near, hold_refusal, hold_refused
from initlab.testing.training import check_own_training, check_training

AdapterCheck: TypeAlias = Callable[[Adapter], None]


def check_adapter(adapter: Adapter, *, checks: Sequence[AdapterCheck] | None = None) -> None:
    """Holds an adapter to all that a framework must give, or must refuse as an ``UnsupportedError``.

    Args:
        adapter: Of a registered framework that builds ``Mlp((5, 7, 4, 3), "tanh")``.
        checks: Some of ``ADAPTER_CHECKS``; all of them where left out.

    Raises:
        AssertionError: What the adapter does otherwise, with the name of the check.

    Example:
        >>> from initlab import testing
        >>> from initlab.frameworks import FRAMEWORKS
        >>> testing.check_adapter(FRAMEWORKS["torch"].load(), checks=testing.ADAPTER_CHECKS[:3])
    """
    for check in ADAPTER_CHECKS if checks is None else checks:
        try:
            check(adapter)
        except AssertionError as error:
            raise AssertionError(f"{adapter.framework}: {check.__name__.removeprefix('check_')}: {error}") from error


def check_registration(adapter: Adapter) -> None:
    """The framework's models lead to this adapter, which goes by the registered name."""
    framework = FRAMEWORKS[adapter.framework]
    model = adapter.build(CHAIN, seed=3)
    hold(framework.load() is adapter, "load gives another adapter each time")
    hold(framework_of(model) is framework, "a model is not told by the class that it inherits from")
    hold(adapter_for(model) is adapter, "a model leads to another adapter")


def check_build(adapter: Adapter) -> None:
    """A seed decides the initial values, and no generator moves."""
    model = adapter.build(CHAIN)
    before = _generators(adapter, model)
    first, second, other = (held(adapter, adapter.build(CHAIN, seed=seed)) for seed in (3, 3, 4))
    hold(_generators(adapter, model) == before, "build moved a generator")
    hold(all(np.array_equal(first[path], second[path]) for path in first), "one seed gave two sets of weights")
    hold(not np.array_equal(first["0/weight"], other["0/weight"]), "two seeds gave the same weights")


def check_description(adapter: Adapter) -> None:
    """Paths, shapes, roles and activations are those of the architecture, and the model stays as it is."""
    model = adapter.build(CHAIN, seed=3)
    before = dict(adapter.state(model)), _generators(adapter, model)
    spec = adapter.describe(model, example=batch()[0])
    after = dict(adapter.state(model)), _generators(adapter, model)
    hold([_facts(p) for p in spec.params] == [_facts(p) for p in CHAIN.spec().params], "the facts are others", spec)
    hold([p.path for p in spec.params if p.is_output] == ["2/weight"], "the output layer is another", spec)
    hold(spec.fidelity == "traced" and not any(p.intent for p in spec.params), "it was not all seen, or kept", spec)
    same = all(np.array_equal(before[0][name], after[0][name]) for name in before[0])
    hold(same and before[1] == after[1], "describing changed the model or a generator")
    told = adapter.describe(model, overrides={"*": {"f_out": "relu"}})
    hold({p.f_out for p in told.params if p.is_weight} == {"relu"}, "an override was not taken")


def check_reading_and_writing(adapter: Adapter) -> None:
    """What is written in the canonical layout is read again, bit by bit, and nothing else changes."""
    model = adapter.build(CHAIN, seed=3)
    before = held(adapter, model)
    for p in adapter.describe(model).params:
        source = WeightSource(Normal(0.7), p, seed=5)
        adapter.write(model, p, source)
        read = adapter.read(model, p)
        hold(np.array_equal(np.asarray(read, np.float32), source.part()), f"{p.path} reads not as it was written")
        before[p.path] = np.array(read, np.float64)
        rest = held(adapter, model)
        hold(all(np.array_equal(before[path], rest[path]) for path in rest), f"writing {p.path} changed another")
        read[...] = 9.0
        hold(not np.array_equal(adapter.read(model, p), read), f"{p.path} is read as the model's own memory")
    other = adapter.build(CHAIN, seed=4)
    adapter.load(other, adapter.state(model))
    same = held(adapter, other)
    hold(all(np.array_equal(before[path], same[path]) for path in same), "what was loaded is not what was held")
    names = set(adapter.state(model))
    hold({p.native for p in adapter.describe(model).params} <= names, "state has other names than describe", names)


def check_holding(adapter: Adapter) -> None:
    """What is written inside of a trial is gone after it, bit by bit, also where it is interrupted."""
    model = adapter.build(CHAIN, seed=3)
    params, before = adapter.describe(model).params, held(adapter, model)
    try:
        with adapter.holding(model, params):
            for p in params:
                adapter.write(model, p, WeightSource(Normal(0.7), p, seed=5))
            hold(not _are(adapter, model, before), "nothing was written inside")
            raise KeyboardInterrupt
    except KeyboardInterrupt:
        hold(_are(adapter, model, before), "a weight is not what it was before a trial")
    else:
        hold(False, "an interruption was swallowed")


def check_initialization(adapter: Adapter) -> None:
    """A seed gives the bits of the architecture's own plan; what initlab wrote is drawn again by ``reset``."""
    model = adapter.build(CHAIN, seed=3)
    generators = _generators(adapter, model)
    wanted = {seed: plan(CHAIN, "he_normal").draw(seed) for seed in (5, 6)}
    hold(initialize(model, "he_normal", seed=5) is model, "another model came back")
    hold(_are(adapter, model, wanted[5]), "the weights are not those of the plan")
    hold(not any(p.intent for p in adapter.describe(model).params), "initlab's own values are taken for designed ones")
    reset(model, seed=6)
    hold(_are(adapter, model, wanted[6]), "reset drew other weights than the plan")
    hold(_generators(adapter, model) == generators, "a seed was given, and a generator moved")


def check_designed_values(adapter: Adapter) -> None:
    """A value that its author designed is kept; the same value is drawn over where initlab wrote it."""
    model = adapter.build(CHAIN, seed=3)
    head = next(p for p in adapter.describe(model).params if p.path == "2/bias")
    adapter.write(model, head, GivenWeights(np.full(head.shape, -2.5, np.float32), head))
    kept = {entry.param.path for entry in plan(model, "he_normal") if entry.param.intent}
    hold(kept == {"2/bias"}, "a prior in the output's bias is not seen, or more is", kept)
    adapter.mark(model, [head.native], 5)
    kept = {entry.param.path for entry in plan(model, "he_normal") if entry.param.intent}
    hold(not kept, "a marked prior is taken for the author's", kept)


def check_audit_and_lock(adapter: Adapter) -> None:
    """Weights as declared pass, and one that is doubled does not, against the scheme and against a lock."""
    model = initialize(adapter.build(CHAIN, seed=3), "he_normal", seed=5)
    promised = lock(model, path=None)
    hold(audit(model, "he_normal").ok and audit(model, promised).ok, "weights as declared do not pass")
    first = adapter.describe(model).params[0]
    twice = 4.0 * np.asarray(adapter.read(model, first), np.float32)
    adapter.write(model, first, GivenWeights(twice, first))
    hold(not audit(model, "he_normal").ok, "a weight of four times its std passes the audit")
    hold(not audit(model, promised, exact=True).ok, "a weight that changed passes its lock")


def check_capture(adapter: Adapter) -> None:
    """The sums, the loss and the gradients of a pass are those of the formulas; the model stays as it is."""
    model, (x, y) = initialize(adapter.build(CHAIN, seed=3), "he_normal", seed=5), batch()
    before, weights = (dict(adapter.state(model)), _generators(adapter, model)), held(adapter, model)
    seen = adapter.capture(model, x, targets=y)
    after = dict(adapter.state(model)), _generators(adapter, model)
    same = all(np.array_equal(before[0][name], after[0][name]) for name in before[0])
    hold(same and before[1] == after[1], "a capture changed the model or a generator")
    reading, z = seen.reading, sums(weights, x)
    kinds = [place.kind for place in reading.places]
    hold(kinds == ["input", *["weighted", "activation"] * 2, "weighted"], "the places are others", kinds)
    at = [i for i, kind in enumerate(kinds) if kind == "weighted"]
    hold_near([reading.forward[i].square for i in at], [np.mean(one**2) for one in z], "the mean squares of the sums")
    hold_near([reading.loss], [cross_entropy(z[-1], y)], "the cross entropy")
    wanted = [np.mean(g**2) for g in weight_gradients(weights, x, y)]
    natives = [p.native for p in seen.spec.params if p.is_weight]
    hold_near([reading.gradients[name].square for name in natives], wanted, "the mean squares of the gradients")
    hold([_facts(p) for p in seen.spec.params] == [_facts(p) for p in CHAIN.spec().params], "facts differ", seen.spec)
    hold_refused(ShapeError, lambda: adapter.capture(model, x[:, :4]), "a batch of other rows")
    profile = probe(model, x, y)
    hold(profile.diagnose().healthy and len(profile.rows) == CHAIN.depth, "a healthy chain is not found healthy")


def check_jacobian(adapter: Adapter) -> None:
    """The derivative of the outputs by one row is that of the formula, or refused."""
    model, (x, _) = initialize(adapter.build(CHAIN, seed=3), "he_normal", seed=5), batch()
    try:
        found = adapter.jacobian(model, x[:1])
    except UnsupportedError as error:
        return hold_refusal(adapter, error)
    weights = held(adapter, model)
    z, wanted = sums(weights, x[:1]), np.eye(CHAIN.widths[0])
    for i in range(CHAIN.depth):
        slope = np.ones(CHAIN.widths[0]) if i == 0 else 1.0 - np.tanh(z[i - 1][0]) ** 2
        wanted = weights[f"{i}/weight"] @ (slope[:, None] * wanted)
    hold_near(found.reshape(-1), wanted.reshape(-1), "the Jacobian")


def check_watch(adapter: Adapter) -> None:
    """A loop of the user's own can be watched, or that is refused; a loop without steps reads nothing."""
    told: list[int] = []
    model = adapter.build(CHAIN, seed=3)
    try:
        with adapter.watch(model, every=2, on_reading=lambda step, reading: told.append(step)):
            pass
    except UnsupportedError as error:
        return hold_refusal(adapter, error)
    hold(not told, "steps were read that nobody made", told)
    hold_refused(OptionError, lambda: adapter.watch(model, every=0, on_reading=lambda *_: None).__enter__(), "every=0")


def check_refusals(adapter: Adapter) -> None:
    """What there is not is refused: an exhibit of no museum, a model of no framework."""
    hold_refused(OptionError, lambda: adapter.exhibit("broken_nothing"), "an exhibit that there is not")
    hold_refused(OptionError, lambda: adapter.build_own(lambda: "a word", 3), "a factory of a word")
    stranger = ParamSpec("9/weight", (2, 3), native="nobody.weight")
    hold_refused(OptionError, lambda: adapter.read(adapter.build(CHAIN), stranger), "a parameter that there is not")


ADAPTER_CHECKS: tuple[AdapterCheck, ...] = (
    check_registration,
    check_build,
    check_description,
    check_reading_and_writing,
    check_holding,
    check_initialization,
    check_designed_values,
    check_audit_and_lock,
    check_capture,
    check_jacobian,
    check_watch,
    check_refusals,
    check_training,
    check_own_training,
)
"""In order, what rests on what is before it."""


def _facts(p: ParamSpec) -> tuple[object, ...]:
    return p.path, p.shape, p.role, p.f_in, p.f_out, p.layer_shape


def _are(adapter: Adapter, model: object, wanted: object) -> bool:
    assert isinstance(wanted, dict)
    found = held(adapter, model)
    return found.keys() == wanted.keys() and all(np.array_equal(found[path], wanted[path]) for path in found)


def _generators(adapter: Adapter, model: object) -> tuple[object, ...]:
    """The states of Python's, NumPy's and the framework's own generator, where it has one."""
    try:
        own: object = adapter.generator_state(model)
    except UnsupportedError:
        own = None
    return random.getstate(), str(np.random.get_state()), own  # noqa: NPY002  (it is kept, not drawn from)
