"""What an operation does to the graph, on graphs built by hand: the rules that every framework's recorder calls."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import pytest

from initlab.core.facts.spec import Axes
from initlab.frameworks.reading.axes import factor_use, own_axes, picked, reshaped
from initlab.frameworks.reading.elementwise import composed, gated, pointwise
from initlab.frameworks.reading.graph import Graph, Kind, Node, Use
from initlab.frameworks.reading.operation import Operation
from initlab.frameworks.reading.recognition import recognised
from initlab.frameworks.reading.surroundings import read
from initlab.frameworks.reading.weighted_sums import (
    einsum_use,
    join,
    look_up,
    matrix_use,
    normalise,
    note_split,
    product,
    weigh,
)

REDUCED = {"sum": "reduced", "mean": "pool", "var": "reduced", "amax": "pool"}
FUNCTIONS: dict[str, Callable[..., Any]] = {
    "add": np.add, "sub": np.subtract, "mul": np.multiply, "div": np.divide, "exp": np.exp, "sqrt": np.sqrt,
    "square": np.square, "tanh": np.tanh, "sigmoid": lambda z: 1 / (1 + np.exp(-z)), "where": np.where,
}  # fmt: skip


class Recorder:
    """A framework of its own: NumPy's functions, one node each."""

    def __init__(self) -> None:
        self.graph = Graph()
        self.x = self.graph.add(Node("input", shape=(4, 6)))

    def operation(self, name: str, *given: Node, shape: tuple[int, ...] | None = None) -> Operation:
        made = shape if shape is not None else next((n.shape for n in given if n.is_data), None)

        def add(
            kind: Kind, inputs: Iterable[Node], params: Iterable[str] = (), *, name: str = name, **rest: Any
        ) -> Node:
            kept = tuple(node for node in inputs if node.kind != "constant")
            form = REDUCED.get(name, "") if kind == "pass" else ""
            return self.graph.add(Node(kind, name, kept, tuple(params), made, form=form, **rest))

        return Operation(self.graph, name, given, add, lambda value: FUNCTIONS[name](*map(value, given)))

    def f(self, name: str, *given: Node, **options: Any) -> Node:
        return pointwise(self.operation(name, *given), **options)

    def reduce(self, name: str, x: Node) -> Node:
        rows = (*x.shape[:-1], 1)
        return self.operation(name, x, shape=rows).add("pass", [x])

    def dense(self, x: Node, name: str = "w") -> Node:
        weight = Node("parameter", params=(name,), shape=(6, 6), axes=(0, 1))
        return weigh(self.operation("linear", x), [x], [weight], Use("dense"))


def number(value: float) -> Node:
    return Node("constant", shape=(), tensor=np.float64(value))


def parameter(name: str, *shape: int) -> Node:
    return Node("parameter", params=(name,), shape=shape, axes=own_axes(shape))


def trace_of(made: Recorder) -> Any:
    names = {name: name for node in made.graph.nodes for name in node.params}
    return read(made.graph, names, scales=(), recognise=recognised, evaluate=lambda f, z: f(z), held={})


def test_functions_of_one_value_are_one_function_of_their_root() -> None:
    r = Recorder()
    z = r.dense(r.x)
    node = r.f("mul", z, r.f("sigmoid", z))
    assert (node.kind, node.root) == ("elementwise", z)
    assert recognised(node.function).f == "silu"


@pytest.mark.parametrize("is_left", [False, True])
def test_a_factor_between_two_weights_counts_on_either_side(is_left: bool) -> None:
    r = Recorder()
    z = r.dense(r.x, "first")
    given = (number(0.3), z) if is_left else (z, number(0.3))
    r.graph.outputs = (r.dense(r.f("mul", *given), "second"),)
    assert trace_of(r).places["second"].in_moment == pytest.approx(0.09)  # 0.3^2


@pytest.mark.parametrize("is_left", [False, True])
def test_a_parameter_as_a_factor_hides_no_layer_on_either_side(is_left: bool) -> None:
    r = Recorder()
    z, alpha = r.dense(r.x, "first"), parameter("alpha", 6)
    scaled = r.f("mul", *((alpha, z) if is_left else (z, alpha)))
    r.graph.outputs = (r.dense(r.f("tanh", scaled), "second"),)
    assert (scaled.kind, scaled.params, scaled.inputs) == ("pass", ("alpha",), (z,))
    assert r.graph.uses["alpha"] == [Use("scale")]
    found = trace_of(r).places
    assert (found["first"].f_out, found["second"].f_in) == ("tanh", "tanh")


@pytest.mark.parametrize(
    ("shape", "role"),
    [((6,), "bias"), ((1,), "bias"), ((1, 6, 1, 1), "bias"), ((4, 6), "embedding"), ((), "scale"), ((1, 1), "scale")],
)
def test_what_a_parameter_that_is_added_does_is_told_by_its_axes(shape: tuple[int, ...], role: str) -> None:
    r = Recorder()
    r.f("add", r.x, parameter("b", *shape))
    assert r.graph.uses["b"] == [Use(role)]


def test_a_factor_kept_as_its_distance_from_one_is_a_scale_where_nothing_is_normalised() -> None:
    r = Recorder()
    gain = Node("parameter", "add", params=("g",), shape=(6,))
    r.f("mul", r.x, gain)
    assert r.graph.uses["g"] == [Use("scale")]


def test_a_bias_that_a_framework_adds_by_itself_is_part_of_its_sum() -> None:
    r = Recorder()
    z, b = r.dense(r.x), parameter("b", 6)
    assert r.f("add", z, b, is_bias=lambda x, param: x is z and param is b) is z
    assert r.graph.biases[z] == ("b",)
    assert r.f("add", z, b).kind == "pass"


def test_a_sum_and_a_product_of_two_values_are_told_from_each_other() -> None:
    r = Recorder()
    a, b = r.dense(r.x, "a"), r.dense(r.x, "b")
    assert [r.f(name, a, b).kind for name in ("add", "sub", "mul", "div")] == ["add", "add", "mul", "unknown"]


def test_a_norm_that_is_written_out_is_a_norm() -> None:
    r = Recorder()
    z = r.dense(r.x)
    centred = r.f("sub", z, r.reduce("mean", z))
    spread = r.f("sqrt", r.f("add", r.reduce("mean", r.f("square", centred)), number(1e-3)))
    assert centred.kind == "pass"
    assert r.f("div", centred, spread).kind == "norm"
    assert r.f("div", z, r.reduce("mean", z)).kind == "pass"  # the size of a mean is no spread


def test_a_softmax_that_is_written_out_is_one() -> None:
    r = Recorder()
    z = r.dense(r.x)
    e = r.f("exp", r.f("sub", z, r.reduce("amax", z)))
    node = r.f("div", e, r.reduce("sum", e))
    assert (node.kind, node.name, node.inputs) == ("unknown", "softmax", (z,))
    other = r.f("exp", r.dense(r.x, "v"))
    assert r.f("div", e, r.reduce("sum", other)).name != "softmax"


@pytest.mark.parametrize(
    ("name", "given", "made"),
    [("div", 6.0, "mean"), ("mul", 1 / 6, "mean"), ("div", 5.0, "div"), ("mul", 6.0, "mul")],
)
def test_a_sum_divided_by_its_number_is_a_mean(name: str, given: float, made: str) -> None:
    r = Recorder()
    z = r.dense(r.x)
    node = r.f(name, r.reduce("sum", z), number(given))
    assert node.name == made
    assert (node.inputs == (z,)) == (made == "mean")


def test_a_mean_over_windows_is_a_pool() -> None:
    r = Recorder()
    total = r.reduce("sum", r.dense(r.x))
    assert r.f("div", total, number(4.0), window=4.0).name == "avg_pool"
    assert r.f("div", total, number(6.0), window=4.0).name == "div"


def test_a_loop_of_functions_is_no_activation() -> None:
    r = Recorder()
    at = r.dense(r.x)
    for _ in range(64):
        at = r.f("tanh", at)
    assert (at.kind, at.cost) == ("elementwise", 64)
    assert r.f("tanh", at).kind == "pass"


def test_a_constant_of_many_entries_changes_no_activation() -> None:
    r = Recorder()
    z = r.dense(r.x)
    mask = Node("constant", shape=(4, 6))
    assert r.f("mul", z, mask).kind == "pass"


def test_a_function_with_a_parameter_in_it_is_composed_with_what_came_before() -> None:
    r = Recorder()
    doubled = r.f("mul", r.x, number(2.0))
    node = composed(r.operation("prelu", doubled), doubled, lambda z: np.where(z > 0, z, 0.2 * z), ("slope",))
    assert (node.root, node.cost, node.params) == (r.x, 2, ("slope",))
    np.testing.assert_allclose(node.function(np.array([3.0, -3.0])), [6.0, -1.2])


def test_a_gated_unit_is_half_times_the_opened_other_half() -> None:
    r = Recorder()
    z = r.dense(r.x)
    node = gated(r.operation("glu", z), z, FUNCTIONS["sigmoid"])
    assert node.kind == "mul"
    assert [one.kind for one in node.inputs] == ["pass", "elementwise"]
    assert r.graph.splits == {z: 2}


# Products


def test_a_product_with_a_parameter_is_a_weighted_sum_and_what_is_added_its_bias() -> None:
    r = Recorder()
    w, b = parameter("w", 6, 5), parameter("b", 5)
    operation = r.operation("addmm", b, r.x, w)
    node = product(operation, [r.x, w], lambda weight: matrix_use(weight, is_right=True), added=[b])
    assert (node.kind, node.params, node.inputs) == ("weight", ("w",), (r.x,))
    assert r.graph.uses == {"b": [Use("bias")], "w": [Use("dense", Axes((0,), (1,)))]}


def test_a_product_with_shares_is_a_mixture_of_the_other_factor() -> None:
    r = Recorder()
    z, v = r.dense(r.x, "z"), r.dense(r.x, "v")
    shares = r.operation("softmax", z).add("unknown", [z], name="softmax")
    dropped = r.operation("dropout", shares).add("pass", [shares])
    for given in ([dropped, v], [v, dropped]):
        node = product(r.operation("matmul", *given), given, lambda weight: Use("dense"))
        assert (node.kind, node.name, node.inputs) == ("pass", "attention", (v, dropped))
    assert product(r.operation("matmul", z, v), [z, v], lambda weight: Use("dense")).kind == "unknown"


def test_a_product_of_parameters_alone_is_no_value() -> None:
    r = Recorder()
    a, b = parameter("a", 6, 2), parameter("b", 2, 6)
    assert product(r.operation("matmul", a, b), [a, b], lambda weight: Use("dense")) is None
    assert r.graph.uses == {}


@pytest.mark.parametrize(
    ("axes", "options", "use"),
    [
        (((0,), (1,)), {"inputs": [-1]}, Use("dense")),
        (((1,), (0,)), {"inputs": [-2]}, Use("dense")),  # a transposed matrix on the right
        (((1,), (0,)), {"inputs": [1]}, Use("dense", Axes((0,), (1,)))),
        (((0,), (1,), (2,)), {"inputs": [1], "stacked": [0]}, Use("dense", Axes((1,), (2,), (0,)))),
        (((0,), (1,), (2,)), {"inputs": [0]}, Use("dense", Axes((0,), (1, 2)))),
        (((2,), (1,)), {"inputs": [0]}, Use("dense", Axes((2,), (1,), (0,)))),  # w[e], of which no axis 0 is left
        (((), (2,), (1,)), {"inputs": [1], "stacked": [0]}, Use("dense", Axes((2,), (1,), (0,)))),  # w[index]
        (((0,), (0,), (1,)), {"inputs": [2]}, Use("dense")),  # outputs seen as heads
        (((0, 1), (2,)), {"inputs": [0]}, Use("dense", Axes((0, 1), (2,)))),  # heads and their width merged
        (((0,), (0,), (1,)), {"inputs": [2], "stacked": [0]}, Use("dense", clear=False)),  # half a stack, half outputs
        (((0,), (1,)), {"inputs": [0, 1]}, Use("dense", Axes((0, 1), ()), clear=False)),
        (((0,),), {"inputs": [0]}, Use("dense", clear=False)),
        (None, {"inputs": [0]}, Use("dense", clear=False)),
    ],
)
def test_the_axes_of_a_factor_say_what_is_contracted(axes: Any, options: Any, use: Use) -> None:
    assert factor_use(Node("parameter", params=("w",), axes=axes), **options) == use


@pytest.mark.parametrize(
    ("equation", "axes", "use"),
    [
        ("bi,oi->bo", (0, 1), Use("dense")),
        ("bi,io->bo", (0, 1), Use("dense", Axes((0,), (1,)))),
        ("bi,io->bo", (1, 0), Use("dense")),
        ("ebi,eio->ebo", (0, 1, 2), Use("dense", Axes((1,), (2,), (0,)))),
        ("bi,ihd->bhd", (0, 1, 2), Use("dense", Axes((0,), (1, 2)))),
        ("bi,bi->bi", (0, 1), Use("dense", Axes((), (), (0, 1)), clear=False)),
        ("b...,oi->bo", (0, 1, 2), Use("dense", clear=False)),
        ("bi,ii->b", (0, 1), Use("dense", clear=False)),
        ("bi,io", (0, 1), Use("dense", clear=False)),
    ],
)
def test_an_equation_says_what_is_contracted(equation: str, axes: tuple[int, ...], use: Use) -> None:
    x, weight = Node("input"), Node("parameter", params=("w",), axes=tuple((axis,) for axis in axes))
    assert einsum_use(equation, [x, weight], weight) == use


def test_a_sum_over_a_slice_of_the_inputs_says_no_fan() -> None:
    whole = parameter("w", 5, 8)
    half = Node("parameter", "getitem", (whole,), ("w",), (5, 4), axes=own_axes((5, 4)))
    assert factor_use(whole, inputs=[1]).clear
    assert not factor_use(half, inputs=[1]).clear
    assert factor_use(Node("parameter", "getitem", (whole,), ("w",), (2, 8), axes=own_axes((2, 8))), inputs=[1]).clear


@pytest.mark.parametrize(
    ("before", "after", "axes"),
    [
        ((6, 4), (24,), ((0, 1),)),
        ((6, 4), (2, 3, 4), ((0,), (0,), (1,))),
        ((6, 4), (1, 6, 4, 1), ((), (0,), (1,), ())),
        ((1, 6, 4), (6, 4), ((1,), (2,))),
        ((6, 4), (8, 3), ((0, 1), (0, 1))),
        ((6, 1), (6, 1, 1), ((0,), (1,), ())),
        ((6, 4), (5, 4), None),
    ],
)
def test_the_axes_behind_another_shape_are_followed(before: Any, after: Any, axes: Any) -> None:
    assert reshaped(parameter("w", *before), after) == axes


@pytest.mark.parametrize(
    ("picks", "shape", "axes"),
    [
        (["one"], (5, 4), ((1,), (2,))),
        (["many"], (7, 5, 4), ((), (1,), (2,))),
        (["many"], (7, 2, 5, 4), ((), (), (1,), (2,))),
        (["whole", "one"], (3, 4), ((0,), (2,))),
        (["new", "part"], (1, 2, 5, 4), ((), (0,), (1,), (2,))),
        (["many", "whole", "many"], (7, 5), ((), (1,))),
        (["one"] * 4, (5, 4), None),
    ],
)
def test_the_axes_that_an_index_leaves_are_followed(picks: Any, shape: Any, axes: Any) -> None:
    assert picked(parameter("w", 3, 5, 4), picks, shape) == axes


def test_rows_picked_by_numbers_make_a_table() -> None:
    r = Recorder()
    table, tokens = parameter("t", 9, 6), Node("input", shape=(4,))
    node = look_up(r.operation("getitem", table, tokens), table, [tokens])
    assert (node.kind, node.name, node.inputs) == ("weight", "embedding", (tokens,))
    assert r.graph.uses["t"] == [Use("embedding")]
    for places, is_table in [(Node("constant", shape=(3,)), True), (Node("constant"), True), (number(2), False)]:
        assert (look_up(r.operation("getitem", table, places), table, [places]) is not None) == is_table
    assert look_up(r.operation("getitem", r.x, tokens), r.x, [tokens]) is None


def test_a_parameter_put_beside_a_value_is_a_learned_token() -> None:
    r = Recorder()
    node = join(r.operation("concat", parameter("cls", 1, 6), r.x))
    assert (node.kind, node.params) == ("pass", ("cls",))
    assert r.graph.uses["cls"] == [Use("embedding")]
    assert join(r.operation("concat", r.x, r.dense(r.x))).kind == "concat"


def test_a_norm_uses_its_scale_and_then_its_shift() -> None:
    r = Recorder()
    scale, shift = parameter("g", 6), parameter("b", 6)
    node = normalise(r.operation("layer_norm", r.x, scale, shift))
    assert (node.kind, node.inputs, node.params) == ("norm", (r.x,), ("g", "b"))
    assert r.graph.uses == {"g": [Use("norm_scale")], "b": [Use("norm_bias")]}


def test_a_cut_is_noted_along_the_units_of_every_term_of_a_sum() -> None:
    r = Recorder()
    a, b = r.dense(r.x, "a"), r.dense(r.x, "b")
    both = r.f("add", a, b)
    note_split(r.graph, both, (2, 4), 0, lambda node: (1,))
    assert r.graph.splits == {}
    note_split(r.graph, both, (2, 4), 1, lambda node: (1,))
    assert r.graph.splits == {a: (2, 4), b: (2, 4)}
