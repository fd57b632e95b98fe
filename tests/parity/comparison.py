"""One model in three frameworks, with the same weights and the same batch: every fact and every number that differs."""

from __future__ import annotations

import math
import zlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from fnmatch import fnmatchcase
from functools import cache
from typing import Literal

import numpy as np
import torch
from tests.parity.zoo.net import FRAMEWORKS, ROWS, Framework, Net, Reason, Values

import initlab
from initlab.core.adapter import Adapter, GivenWeights
from initlab.core.errors import ShapeError
from initlab.core.facts.fans import fans
from initlab.core.facts.spec import ModelSpec, ParamSpec
from initlab.core.plans.plan import PlanEntry
from initlab.frameworks import adapter_for
from initlab.probing.profile import Profile
from initlab.probing.records import WeightFacts

SCHEMES = ("auto", "he_normal", "exact_gain_normal")
Kind = Literal["fact", "predicted", "measured"]
KINDS: tuple[Kind, ...] = ("fact", "predicted", "measured")
NEAR: Mapping[Kind, float] = {"fact": 1e-6, "predicted": 1e-6, "measured": 1e-4}
# Theory walks back from the gradient that was measured at the output, a sum of float32.
NEAR_GRADIENT = 1e-5
# A measured number below this share of its kind's size is rounding alone: a mean near 0, a cosine near 0.
ROUNDING = 1e-6

Name = tuple[Kind, str, str]
"""Kind, where, fact."""


@dataclass(frozen=True)
class Difference:
    """A fact or a number that is not the same in all frameworks, of those that have what it is about."""

    kind: Kind
    where: str
    fact: str
    values: Mapping[Framework, object]

    def __str__(self) -> str:
        told = ", ".join(f"{framework} {_short(value)}" for framework, value in self.values.items())
        return f"{self.kind} {self.fact} of {self.where}: {told}"


@dataclass(frozen=True, eq=False)
class Outcome:
    """What the comparison of one model gave.

    Attributes:
        compared: Facts and numbers of each kind that at least one framework has.
        differences: Those that are not the same.
        found: All of them, by framework.
    """

    compared: Mapping[Kind, int]
    differences: tuple[Difference, ...]
    found: Mapping[Framework, Mapping[Name, object]]

    def unexplained(self, net: Net) -> list[Difference]:
        """The differences that no reason of the model covers."""
        return [one for one in self.differences if not any(covers(reason, one) for reason in net.reasons)]

    def stale(self, net: Net) -> list[str]:
        """The reasons of the model that cover no difference, or name a framework that never differs, in words."""
        found = []
        for reason in net.reasons:
            named = [one for one in self.differences if covers(reason, one)]
            odd = {framework for one in named for framework in odd_ones(one)}
            found += [f"{reason}: {framework} is not odd" for framework in reason.odd if framework not in odd]
        return found


def covers(reason: Reason, one: Difference) -> bool:
    """Whether a reason names a difference, and the frameworks that it does not name agree."""
    names = (one.fact, f"{one.kind} {one.fact}")
    if not (any(fnmatchcase(name, reason.fact) for name in names) and fnmatchcase(one.where, reason.where)):
        return False
    rest = [value for framework, value in one.values.items() if framework not in reason.odd]
    return bool(rest) and all(_same(one.kind, value, rest[0]) for value in rest[1:])


def odd_ones(one: Difference) -> tuple[Framework, ...]:
    """The frameworks that stand alone with their value; all, where no two agree."""
    alone = []
    for framework, value in one.values.items():
        others = [one.values[other] for other in one.values if other != framework]
        if not any(_same(one.kind, value, other) for other in others):
            alone.append(framework)
    return tuple(alone)


@cache
def outcome(net_name: str) -> Outcome:
    """The comparison of a model of the zoo, made once a process."""
    from tests.parity.zoo import NETS

    return compare_frameworks(NETS[net_name])


def compare_frameworks(net: Net) -> Outcome:
    """Every fact and number of a model, and what of it is not the same in the three frameworks."""
    found = {framework: dict(_numbers(net, framework)) for framework in FRAMEWORKS}
    names = dict.fromkeys(name for of in found.values() for name in of)
    compared = {kind: sum(name[0] == kind for name in names) for kind in KINDS}
    holders = {framework: {where for _, where, _ in found[framework]} for framework in FRAMEWORKS}
    differences = [*_absent(names, holders)]
    for kind, where, fact in names:
        there = [framework for framework in FRAMEWORKS if where in holders[framework]]
        values = {framework: found[framework].get((kind, where, fact), "absent") for framework in there}
        if not all(_same(kind, value, values[there[0]], fact=fact) for value in values.values()):
            differences.append(Difference(kind, where, fact, values))
    return Outcome(compared, tuple(differences), found)


def _absent(names: Iterable[Name], holders: Mapping[Framework, set[str]]) -> Iterator[Difference]:
    """One difference for a parameter, row or place that some framework does not have."""
    for where in dict.fromkeys(where for _, where, _ in names):
        there: dict[Framework, object] = {framework: where in holders[framework] for framework in FRAMEWORKS}
        if not all(there.values()):
            yield Difference("fact", where, "presence", there)


def _same(kind: Kind, one: object, other: object, *, fact: str = "") -> bool:
    if isinstance(one, float) and isinstance(other, float):
        near = max(NEAR[kind], NEAR_GRADIENT if fact.startswith("gradient") else 0.0)
        close = math.isclose(one, other, rel_tol=near, abs_tol=ROUNDING if kind == "measured" else 1e-12)
        return close or (math.isnan(one) and math.isnan(other))
    return one == other


def _short(value: object) -> str:
    return f"{value:.6g}" if isinstance(value, float) else str(value)


# One framework


def written(net: Net, framework: Framework, *, adapter: Adapter, model: object, spec: ModelSpec) -> None:
    """The model holds the values that the zoo gives it."""
    values = net.layouts[framework](common_values(net)) if framework in net.layouts else common_values(net)
    for p in spec.params:
        if p.tied_to is None:
            held = values[key_of(net, framework, p)]
            if held.shape != p.shape:
                raise ShapeError(f"{held.shape} for {framework}'s {p.path} of shape {p.shape}")
            adapter.write(model, p, GivenWeights(held.astype(np.float32), p))


@cache
def _torch_spec(name: str) -> ModelSpec:
    from tests.parity.zoo import NETS

    return adapter_for(NETS[name].torch()).describe(NETS[name].torch())


def common_values(net: Net) -> Values:
    """The weights of a model by key, in the canonical layout and PyTorch's shapes."""
    found: Values = {}
    for p in _torch_spec(net.name).params:
        key = key_of(net, "torch", p)
        rng = np.random.default_rng(zlib.crc32(key.encode()))
        if key in net.values:
            found[key] = np.broadcast_to(np.asarray(net.values[key]), p.shape)
        elif p.role == "norm_scale":
            found[key] = np.ones(p.shape)
        elif len(p.shape) >= 2:
            found[key] = rng.standard_normal(p.shape) * math.sqrt(1.5 / math.prod(p.shape[1:]))
        else:
            found[key] = np.zeros(p.shape)
    return found


def key_of(net: Net, framework: Framework, p: ParamSpec) -> str:
    """The name of a parameter that the three frameworks share: its canonical path, of a norm with its role."""
    parent = p.path.rpartition("/")[0]
    key = f"{parent}/{p.role}" if p.role in ("norm_scale", "norm_bias") else p.path
    return net.names.get(framework, {}).get(key, key)


def batch_of(net: Net, framework: Framework) -> tuple[object, ...]:
    """The inputs of ten samples, as the framework lays them out."""
    rng = np.random.default_rng(5)
    found: list[object] = []
    for one in net.inputs:
        shape = (ROWS, *one.shape)
        given = rng.integers(0, one.tokens, shape) if one.tokens else rng.standard_normal(shape).astype(np.float32)
        if framework == "torch":
            moved = np.moveaxis(given, -1, 1) if one.is_image else given
            found.append(torch.from_numpy(np.ascontiguousarray(moved)))
        else:
            found.append(given.astype(np.int32) if one.tokens else given)
    return tuple(found)


def targets_of(net: Net, framework: Framework) -> object:
    """The targets of ten samples; None for a model that is followed backwards by random numbers."""
    if net.classes is None:
        return None
    rng = np.random.default_rng(6)
    shape = (ROWS, *net.target_shape)
    if net.classes:
        labels = rng.integers(0, net.classes, shape)
        return torch.from_numpy(labels) if framework == "torch" else labels.astype(np.int32)
    given = rng.standard_normal(shape or (ROWS, 1)).astype(np.float32)
    return torch.from_numpy(given) if framework == "torch" else given


def _numbers(net: Net, framework: Framework) -> Iterator[tuple[Name, object]]:
    model = getattr(net, framework)()
    adapter, batch = adapter_for(model), batch_of(net, framework)
    example = batch[0] if len(batch) == 1 else batch
    spec = adapter.describe(model, example=example)
    written(net, framework, adapter=adapter, model=model, spec=spec)
    spec = adapter.describe(model, example=example)
    profile = initlab.probe(model, example, targets_of(net, framework))
    keys = {p.native: key_of(net, framework, p) for p in spec.params}
    yield ("fact", "model", "fidelity"), spec.fidelity
    plans = {scheme: initlab.plan(spec, scheme).entries for scheme in SCHEMES}
    for i, p in enumerate(spec.params):
        for fact, value in _facts(net, p, {scheme: entries[i] for scheme, entries in plans.items()}, keys):
            yield ("fact", keys[p.native], fact), value
    yield from _profile_numbers(profile, keys)


def _facts(
    net: Net, p: ParamSpec, planned: Mapping[str, PlanEntry], keys: Mapping[str, str]
) -> Iterator[tuple[str, object]]:
    for name in ("role", "shape", "groups", "stride", "f_in", "f_out", "in_moment", "layer_shape", "axes", "blocks"):
        yield name, getattr(p, name)
    for name in ("branch", "norm", "is_output", "frozen", "intent"):
        yield name, getattr(p, name)
    yield "path", p.path if p.is_weight else ""
    yield "tied", p.tied_to is not None
    if p.is_weight and p.role != "embedding":
        for end, of in (("fan_in", "fan_in"), ("fan_out", "fan_out")):
            yield end, tuple(getattr(fans(block), of) for block in p.block_specs())
    for scheme, entry in planned.items():
        yield f"plan {scheme}", f"{entry.action} {entry.law}"


def _profile_numbers(profile: Profile, keys: Mapping[str, str]) -> Iterator[tuple[Name, object]]:
    places = profile.evidence.reading.places
    natives = {place.path: place.params for place in places}
    uses: dict[str, int] = {}
    for row in profile.rows:
        names = natives[row.path]
        key = keys[names[0]] if names else row.path
        uses[key] = uses.get(key, 0) + 1
        where = f"row of {key}" + (f" #{uses[key]}" if uses[key] > 1 else "")
        for fact in ("f", "units", "is_hidden", "entries", "clones"):
            yield ("fact", where, fact), getattr(row, fact)
        yield ("fact", where, "is unknown"), bool(row.unknown)
        for fact in ("signal", "after", "gradient", "cosine", "dead", "saturated"):
            number = getattr(row, fact)
            yield ("predicted", where, fact), number.predicted
            yield ("predicted", where, f"{fact} scatter"), number.scatter
            yield ("measured", where, fact), number.measured
            yield ("measured", where, f"{fact} stderr"), number.stderr
        yield ("predicted", where, "dead by likeness"), row.dead_by_likeness
        for fact in ("rank", "weight_std", "update_ratio"):
            yield ("measured", where, fact), getattr(row, fact)
    yield from _activation_numbers(profile)
    for name, facts in profile.evidence.weights.items():
        yield from _weight_numbers(facts, f"values of {keys[name]}")
    yield from _whole_numbers(profile)


def _activation_numbers(profile: Profile) -> Iterator[tuple[Name, object]]:
    of = {place.path: place for place in profile.evidence.reading.places if place.kind == "activation"}
    order = {path: i for i, path in enumerate(of)}
    for stat in profile.stats:
        if stat.path in of:
            where = f"activation {order[stat.path]}"
            yield ("fact", where, "f"), of[stat.path].f
            yield ("predicted", where, stat.metric), stat.predicted
            yield ("measured", where, stat.metric), stat.measured


def _weight_numbers(facts: WeightFacts, where: str) -> Iterator[tuple[Name, object]]:
    for fact in ("std", "mean", "largest", "typical", "update_ratio"):
        yield ("measured", where, fact), float(getattr(facts, fact))
    for fact in ("zeros", "broken", "equal_units", "digest", "is_varied"):
        yield ("fact", where, fact), getattr(facts, fact)


def _whole_numbers(profile: Profile) -> Iterator[tuple[Name, object]]:
    evidence = profile.evidence
    yield ("fact", "loss", "kind"), evidence.reading.loss_kind
    yield ("fact", "model", "findings"), tuple(sorted(finding.kind for finding in profile.diagnose().findings))
    yield ("predicted", "loss", "loss"), evidence.loss
    yield ("predicted", "loss", "scatter"), evidence.loss_scatter
    yield ("measured", "loss", "loss"), float(evidence.reading.loss)
    yield ("measured", "loss", "stderr"), float(evidence.reading.loss_error)
    for fact in ("signal_ratio", "gradient_ratio"):
        found = getattr(profile, fact)
        for name, value in asdict(found).items():
            kind: Kind = "predicted" if name in ("predicted", "scatter") else "measured"
            yield (kind, "model", f"{fact} {name}"), value
