"""The adapter of NumPy chains: its graph is filled in here, and every rule over it is initlab's."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from functools import partial

import numpy as np
from numpy.typing import NDArray
from tests.frameworks.numpy_nets.nets import Chain, Dense, Values

from initlab.core.adapter import Capture, Overrides, Source, refusal
from initlab.core.errors import DataError, OptionError, ShapeError, UnsupportedError
from initlab.core.factories import parts_of
from initlab.core.facts.arch import Architecture, Mlp
from initlab.core.facts.paths import NativeName, canonical_paths
from initlab.core.facts.spec import ModelSpec, ParamSpec
from initlab.core.generators import global_generators
from initlab.core.sources import source_of
from initlab.core.training.protocol import Trainer, UserTrainingSetup
from initlab.frameworks.reading import layout, marks
from initlab.frameworks.reading.description import model_spec
from initlab.frameworks.reading.elementwise import function_of
from initlab.frameworks.reading.facts import Facts, Parameter
from initlab.frameworks.reading.graph import Graph, Home, Node, Use
from initlab.frameworks.reading.intent import Present
from initlab.frameworks.reading.loss import Goal, goal_of
from initlab.frameworks.reading.places import places
from initlab.frameworks.reading.recognition import recognised
from initlab.frameworks.reading.records import measured, reading_of
from initlab.frameworks.reading.signals import is_followed, is_measured
from initlab.frameworks.reading.surroundings import read
from initlab.frameworks.reading.value_sums import NUMPY, SIZE, Look
from initlab.frameworks.reading.value_sums import parts_of as parts_of_value
from initlab.theory import activation
from initlab.theory.slopes import open_range


class _Arrays:
    def is_array(self, value: object) -> bool:
        return isinstance(value, np.ndarray)

    def is_real(self, array: Values) -> bool:
        return array.dtype.kind == "f"


class NumpyAdapter:
    framework = "numpy_nets"
    seeded = staticmethod(global_generators)
    watch = refusal("NumPy nets cannot watch a loop that is the user's own", fix="call initlab.probe every so often")
    allocated = refusal("NumPy nets always have memory", fix="call initlab.initialize")
    construction = refusal("NumPy nets are arrays that anybody writes into", fix="look at the code")
    native_axes = refusal("NumPy nets have the shapes that they were built with", fix="build another net")
    resize = refusal("NumPy nets have the shapes that they were built with", fix="build another net")
    tape = refusal("NumPy nets write no pass down", fix="grow the net by hand")
    evaluated = refusal("NumPy nets write no pass down", fix="grow the net by hand")
    exhibit = refusal("NumPy nets cannot build an exhibit of the museum", fix="look at it in torch")

    def describe(self, model: object, *, example: object = None, overrides: Overrides | None = None) -> ModelSpec:
        found = _entries(_chain(model))
        own = marks.marked(model, lambda asked: {n: s for n, s in _stamps(model).items() if n in asked})
        seen = read(
            _graph(_chain(model), 1), {native: native for native in found}, scales=(),
            recognise=recognised, evaluate=lambda f, x: f(x),
            held={native: partial(_numbers, values) for native, values in found.items() if native not in own},
        )  # fmt: skip
        paths = canonical_paths([NativeName(tuple(n.split(".")), (True,), n.endswith("weight")) for n in found])
        parameters = []
        for path, (native, values) in zip(paths, found.items(), strict=True):
            facts = Facts("dense", layout.dense(values.shape))
            if native.endswith("bias"):
                weight = found[native.replace("bias", "weight")].T
                facts = Facts("bias", layout.same(values.shape), layer_shape=weight.shape)
            present = Present(partial(_numbers, values), "Dense", is_own=native in own)
            home = native.partition(".")[0]
            parameters.append(Parameter(native, path, native, home, values.shape, facts, present))
        return model_spec(parameters, seen, overrides, stored={})

    def read(self, model: object, param: ParamSpec) -> NDArray[np.generic]:
        return np.array(_held(model, param).T)

    def write(self, model: object, param: ParamSpec, source: Source) -> None:
        held = _held(model, param)
        if held.T.shape != param.shape:
            raise ShapeError(f"{held.T.shape} is not the shape {param.shape}", where=param.path)
        held.T[...] = source.part()

    @contextmanager
    def holding(self, model: object, params: Iterable[ParamSpec]) -> Iterator[None]:
        before = [(values, values.copy()) for values in (_held(model, p) for p in params)]
        try:
            yield
        finally:
            for values, numbers in before:
                values[...] = numbers

    def mark(self, model: object, names: Iterable[str], seed: int) -> None:
        marks.mark(_chain(model), {name: _stamps(model)[name] for name in names}, seed)

    def generator_state(self, model: object) -> bytes:
        return repr(np.random.get_state()).encode()  # noqa: NPY002  (its layers draw from it)

    def random_bits(self, model: object) -> int:
        return int(np.random.randint(0, 2**64, dtype=np.uint64))  # noqa: NPY002

    def state(self, model: object) -> Mapping[str, NDArray[np.generic]]:
        return {native: np.array(values) for native, values in _entries(_chain(model)).items()}

    def load(self, model: object, arrays: Mapping[str, NDArray[np.generic]]) -> None:
        held = _entries(_chain(model))
        for name, array in arrays.items():
            held[name][...] = array

    def capture(
        self, model: object, batch: object, *, targets: object = None, loss: Callable[..., object] | None = None,
        histograms: bool = False, overrides: Overrides | None = None,
    ) -> Capture:  # fmt: skip
        if loss is not None:
            raise UnsupportedError(
                "NumPy nets cannot follow a loss of the caller's own", fix="give targets, or neither"
            )
        chain, x = _chain(model), _rows(_chain(model), batch)
        values, graph = chain.values(x), _graph(chain, len(x))
        goal = goal_of(values[-1], None if targets is None else np.asarray(targets), None, _Arrays())
        total, by_sample, gradient = followed(goal, values[-1])
        by_value, by_name = chain.backward(values, gradient)
        placed = places(
            graph, recognise=lambda node: recognised(node.function), laid=lambda node: (node.shape, 1),
            owners={native: native.partition(".")[0] for native in by_name}, outputs=graph.outputs,
        )  # fmt: skip
        takes = {node.root: open_range(node.name) for node in graph.nodes if node.kind == "elementwise"}
        forward, backward = {}, {}
        for node, value, back in zip(graph.nodes, values, by_value, strict=True):
            if is_measured(node):
                look = Look(histogram=histograms, takes=takes.get(node))
                forward[placed.whole[node]] = measured(value.shape, 1, parts_of_value(value, look, NUMPY))
            if is_followed(node):
                backward[placed.whole[node]] = measured(value.shape, 1, parts_of_value(back, SIZE, NUMPY))
        gradients = {
            n: measured((1, g.size), 1, parts_of_value(g.reshape(1, -1), SIZE, NUMPY)) for n, g in by_name.items()
        }
        reading = reading_of(
            placed, graph.outputs, (forward, backward), gradients, lambda found: [one.parts for one in found],
            goal=goal, loss=total, by_sample=by_sample,
        )  # fmt: skip
        reading = replace(reading, guess=goal.guess)
        return Capture(self.describe(model, overrides=overrides), reading)

    def jacobian(self, model: object, row: object) -> Values:
        values = _chain(model).values(_rows(_chain(model), row))
        return np.stack([_chain(model).backward(values, one[None])[0][0][0] for one in np.eye(values[-1].shape[1])])

    def build(self, arch: Architecture, *, seed: int = 0) -> object:
        if not isinstance(arch, Mlp) or arch.norm != "none" or arch.residual or arch.dropout:
            raise UnsupportedError(f"NumPy nets cannot build {arch}", fix="take a plain Mlp, or another framework")
        with global_generators(seed):
            layers = [Dense(*pair, bias=arch.bias) for pair in zip(arch.widths, arch.widths[1:], strict=False)]
        return Chain(*[step for layer in layers for step in (layer, arch.activation)][:-1])

    def build_own(self, factory: Callable[[], object], seed: int) -> tuple[object, object]:
        with global_generators(seed):
            model, example, _ = parts_of(factory())
        return _chain(model), example

    def outputs(self, model: object, rows: NDArray[np.generic]) -> NDArray[np.float32]:
        return _chain(model).values(_rows(_chain(model), rows))[-1].astype(np.float32)

    def digest(self, model: object, factory: Callable[[], object]) -> str:
        steps = [step if isinstance(step, str) else step.weight.shape for step in _chain(model).steps]
        return hashlib.sha256(f"{steps} {source_of(factory)}".encode()).hexdigest()

    def trainer(self) -> Trainer:
        from tests.frameworks.numpy_nets.training import train

        return train

    own_trainer = trainer

    def together(self, setup: UserTrainingSetup) -> tuple[int, str]:
        return 1, ""


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


def _entries(chain: Chain) -> dict[str, NDArray[np.float32]]:
    layers = {i: step for i, step in enumerate(chain.steps) if isinstance(step, Dense)}
    held = {f"{i}.{leaf}": getattr(layer, leaf) for i, layer in layers.items() for leaf in ("weight", "bias")}
    return {native: values for native, values in held.items() if values is not None}


def _held(model: object, param: ParamSpec) -> NDArray[np.float32]:
    if param.native not in _entries(_chain(model)):
        raise OptionError(f"the model has no parameter '{param.native}'")
    return _entries(_chain(model))[param.native]


def _numbers(values: NDArray[np.float32], *, first: bool = False) -> NDArray[np.float32]:
    return values.reshape(-1)[: 1 if first else None]


def _stamps(model: object) -> dict[str, bytes]:
    return {native: marks.digest(values) for native, values in _entries(_chain(model)).items()}


def _graph(chain: Chain, rows: int) -> Graph:
    graph = Graph()
    x = graph.add(Node("input", "input", shape=(rows, chain.inputs)))
    for i, step in enumerate(chain.steps):
        if isinstance(step, str):
            x = graph.add(replace(function_of(x, step, activation(step)), shape=x.shape))
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
    x = np.asarray(batch, np.float64)
    if x.ndim != 2 or x.shape[1] != chain.inputs:
        raise ShapeError(f"rows of shape {x.shape[1:]} for {chain.inputs} inputs", where="batch")
    if not np.isfinite(x).all():
        raise DataError("the batch holds numbers that are NaN or infinite", where="batch", fix="leave them out")
    return x
