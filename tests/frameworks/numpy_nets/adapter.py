"""The adapter of NumPy chains: its graph is filled in here, and every rule over it is initlab's."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from functools import partial
from types import FunctionType

import numpy as np
from numpy.typing import NDArray
from tests.frameworks.numpy_nets.nets import Chain, Dense, Values

from initlab.core.adapter import Capture, Overrides, Source
from initlab.core.errors import DataError, OptionError, ShapeError, UnsupportedError
from initlab.core.factories import parts_of
from initlab.core.facts.arch import Architecture, Mlp
from initlab.core.facts.paths import NativeName, canonical_paths
from initlab.core.facts.provenance import Construction
from initlab.core.facts.spec import ModelSpec, ParamSpec
from initlab.core.generators import global_generators
from initlab.core.signals.readings import Reading, WeightGradient
from initlab.core.signals.sums import sums_of
from initlab.core.sources import source_of
from initlab.core.training.protocol import OwnRecipe, OwnTrainer, Recipe, Trainer
from initlab.frameworks.reading import marks
from initlab.frameworks.reading.graph import Graph, Home, Node, Use
from initlab.frameworks.reading.intent import Present, intents
from initlab.frameworks.reading.loss import Goal, goal_of, standard_error
from initlab.frameworks.reading.overrides import overridden
from initlab.frameworks.reading.places import places
from initlab.frameworks.reading.recognition import recognised
from initlab.frameworks.reading.signals import is_followed, is_measured
from initlab.frameworks.reading.surroundings import read
from initlab.theory import activation
from initlab.theory.slopes import open_range


class _Arrays:
    def is_array(self, value: object) -> bool:
        return isinstance(value, np.ndarray)

    def is_real(self, array: Values) -> bool:
        return array.dtype.kind == "f"


@dataclass(frozen=True)
class NumpyAdapter:
    framework: str = "numpy_nets"

    def describe(self, model: object, *, example: object = None, overrides: Overrides | None = None) -> ModelSpec:
        chain = _chain(model)
        names = [native for native, _, _ in _entries(chain)]
        paths = canonical_paths([NativeName(tuple(n.split(".")), (True,), n.endswith("weight")) for n in names])
        seen = read(_graph(chain, 1), {n: n for n in names}, scales=(), recognise=recognised)
        own = marks.marked(chain, lambda asked: {n: s for n, s in _stamps(chain).items() if n in asked})
        specs, present = [], []
        for path, (native, layer, leaf) in zip(paths, _entries(chain), strict=True):
            shape, place = layer.weight.T.shape, seen.places[f"{native.partition('.')[0]}.weight"]
            facts = {"f_in": place.f_in, "f_out": place.f_out, "in_moment": place.in_moment, "is_output": place.is_end}
            spec = ParamSpec(path, shape, native=native, **facts)
            if leaf == "bias":
                spec = ParamSpec(path, shape[:1], "bias", layer_shape=shape, native=native)
            specs.append(spec)
            numbers = partial(_numbers, getattr(layer, leaf))
            present.append(Present(numbers, "Dense", is_head=place.is_output, is_own=native in own))
        why = intents(specs, present)
        kept = [replace(spec, intent=reason) for spec, reason in zip(specs, why, strict=True)]
        return ModelSpec(tuple(overridden(kept, overrides)), seen.fidelity, seen.notes)

    def read(self, model: object, param: ParamSpec) -> NDArray[np.generic]:
        return np.array(_held(model, param).T)

    def write(self, model: object, param: ParamSpec, source: Source) -> None:
        held = _held(model, param)
        if held.T.shape != param.shape:
            raise ShapeError(f"{held.T.shape} is not the shape {param.shape}", where=param.path)
        held.T[...] = source.part()

    def mark(self, model: object, names: Iterable[str], seed: int) -> None:
        stamps = _stamps(_chain(model))
        marks.mark(model, {name: stamps[name] for name in names}, seed)

    def generator_state(self, model: object) -> bytes:
        return repr(np.random.get_state()).encode()  # noqa: NPY002  (its layers draw from it)

    def random_bits(self, model: object) -> int:
        return int(np.random.randint(0, 2**64, dtype=np.uint64))  # noqa: NPY002

    def state(self, model: object) -> Mapping[str, NDArray[np.generic]]:
        return {native: np.array(getattr(layer, leaf)) for native, layer, leaf in _entries(_chain(model))}

    def capture(
        self, model: object, batch: object, *, targets: object = None, loss: Callable[..., object] | None = None,
        histograms: bool = False, overrides: Overrides | None = None,
    ) -> Capture:  # fmt: skip
        if loss is not None:
            raise _refused("follow a loss of the caller's own", "give targets, or neither")
        chain = _chain(model)
        x = _rows(chain, batch)
        values, graph = chain.values(x), _graph(chain, len(x))
        goal = goal_of(values[-1], None if targets is None else np.asarray(targets), None, _Arrays())
        total, by_sample, gradient = followed(goal, values[-1])
        by_value, by_name = chain.backward(values, gradient)
        owners = {native: native.partition(".")[0] for native, _, _ in _entries(chain)}
        placed = places(
            graph, recognise=lambda node: recognised(node.function), owners=owners,
            laid=lambda node: (node.shape, 1), outputs=graph.outputs,
        )  # fmt: skip
        takes = {node.root: open_range(node.name) for node in graph.nodes if node.kind == "elementwise"}
        forward, backward = {}, {}
        for node, value, back in zip(graph.nodes, values, by_value, strict=True):
            if node in placed.whole and is_measured(node):
                forward[placed.whole[node]] = sums_of(value, takes=takes.get(node), histogram=histograms)
                if is_followed(node):
                    backward[placed.whole[node]] = sums_of(back, histogram=histograms)
        reading = Reading(
            placed.places, tuple(placed.of[node] for node in graph.outputs), forward, backward,
            {name: WeightGradient(float(np.mean(g**2)), 0) for name, g in by_name.items()},
            total, standard_error(by_sample), goal.kind, goal.notes, goal.target_square, goal.guess,
        )  # fmt: skip
        return Capture(self.describe(model, overrides=overrides), reading)

    def watch(self, model: object, **options: object) -> AbstractContextManager[None]:
        raise _refused("watch a loop that is the user's own", "call initlab.probe every so many steps")

    def jacobian(self, model: object, row: object) -> Values:
        values = _chain(model).values(_rows(_chain(model), row))
        return np.stack([_chain(model).backward(values, one[None])[0][0][0] for one in np.eye(values[-1].shape[1])])

    def construction(self) -> AbstractContextManager[Construction]:
        raise UnsupportedError("its layers are arrays that anybody writes into", fix="look at the code")

    def build(self, arch: Architecture, *, seed: int = 0) -> object:
        if not isinstance(arch, Mlp) or arch.norm != "none" or arch.residual or arch.dropout:
            raise _refused(f"build {arch}", "take a plain Mlp, or another framework")
        steps: list[Dense | str] = []
        with self.seeded(seed):
            for n_in, n_out in zip(arch.widths, arch.widths[1:], strict=False):
                steps += [Dense(n_in, n_out, bias=arch.bias), arch.activation]
        return Chain(*steps[:-1])

    def seeded(self, seed: int) -> AbstractContextManager[None]:
        return global_generators(seed)

    def build_own(self, factory: Callable[[], object], seed: int) -> tuple[object, object]:
        with self.seeded(seed):
            model, example, _ = parts_of(factory())
        return _chain(model), example

    def outputs(self, model: object, rows: NDArray[np.generic]) -> NDArray[np.float32]:
        return _chain(model)(_rows(_chain(model), rows)).astype(np.float32)

    def digest(self, model: object, factory: Callable[[], object]) -> str:
        steps = [step if isinstance(step, str) else step.weight.shape for step in _chain(model).steps]
        return hashlib.sha256(f"{steps} {source_of(factory)}".encode()).hexdigest()

    def exhibit(self, name: str) -> FunctionType:
        raise _refused("build an exhibit of the museum", "look at it in torch")

    def trainer(self) -> Trainer:
        from tests.frameworks.numpy_nets.training import train

        return train

    def own_trainer(self) -> OwnTrainer:
        from tests.frameworks.numpy_nets.training import train

        return train

    def together(self, recipe: Recipe | OwnRecipe) -> tuple[int, str]:
        return 1, ""

    def settings(self, *, here: bool) -> Mapping[str, str]:
        return {}


ADAPTER = NumpyAdapter()


def followed(goal: Goal, outputs: Values) -> tuple[float, Values | None, Values]:
    """The loss, that of each sample, and its gradient by the outputs."""
    if goal.kind == "random":
        return math.nan, None, np.asarray(goal.against, np.float64)
    if goal.kind == "mse":
        off = outputs - goal.against
        return float(np.mean(off**2)), (off**2).mean(1), 2.0 * off / off.size
    shifted = outputs - outputs.max(1, keepdims=True)
    logs = shifted - np.log(np.exp(shifted).sum(1, keepdims=True))
    hot = np.eye(outputs.shape[1])[goal.against]
    by_sample = -(hot * logs).sum(1)
    return float(by_sample.mean()), by_sample, (np.exp(logs) - hot) / len(outputs)


def _chain(model: object) -> Chain:
    if not isinstance(model, Chain):
        raise OptionError(f"{type(model).__name__} is no chain", where="build", fix="give a Chain")
    return model


def _entries(chain: Chain) -> Iterator[tuple[str, Dense, str]]:
    for i, step in enumerate(chain.steps):
        if isinstance(step, Dense):
            yield f"{i}.weight", step, "weight"
            if step.bias is not None:
                yield f"{i}.bias", step, "bias"


def _held(model: object, param: ParamSpec) -> NDArray[np.float32]:
    for native, layer, leaf in _entries(_chain(model)):
        if native == param.native:
            return getattr(layer, leaf)
    raise OptionError(f"the model has no parameter '{param.native}'")


def _numbers(values: NDArray[np.float32], *, first: bool = False) -> NDArray[np.float32]:
    return values.reshape(-1)[: 1 if first else None]


def _stamps(chain: Chain) -> dict[str, bytes]:
    return {native: marks.digest(getattr(layer, leaf)) for native, layer, leaf in _entries(chain)}


def _graph(chain: Chain, rows: int) -> Graph:
    first = next(step for step in chain.steps if isinstance(step, Dense))
    graph = Graph()
    x = graph.add(Node("input", "input", shape=(rows, len(first.weight))))
    for i, step in enumerate(chain.steps):
        if isinstance(step, str):
            x = graph.add(Node("elementwise", step, (x,), shape=x.shape, root=x, function=activation(step), cost=1))
            continue
        x = graph.add(Node("weight", "dense", (x,), (f"{i}.weight",), (rows, step.weight.shape[1])))
        graph.use([f"{i}.weight"], Use("dense"))
        graph.homes[x] = Home(f"{i}", is_leaf=True)
        if step.bias is not None:
            graph.use([f"{i}.bias"], Use("bias"))
            graph.biases[x] = (f"{i}.bias",)
    graph.outputs = (x,)
    return graph


def _rows(chain: Chain, batch: object) -> Values:
    x, first = np.asarray(batch, np.float64), next(step for step in chain.steps if isinstance(step, Dense))
    if x.ndim != 2 or x.shape[1] != len(first.weight):
        raise ShapeError(f"rows of shape {x.shape[1:]} for {len(first.weight)} inputs", where="batch")
    if not np.isfinite(x).all():
        raise DataError("the batch holds numbers that are NaN or infinite", where="batch", fix="leave them out")
    return x


def _refused(what: str, fix: str) -> UnsupportedError:
    return UnsupportedError(f"NumPy nets cannot {what}", fix=fix)
