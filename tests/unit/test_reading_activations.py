"""Which value is a layer's activation, on graphs that no framework made."""

from __future__ import annotations

from typing import Any

from initlab.core.facts.spec import ParamSpec
from initlab.frameworks.reading.activations import activations
from initlab.frameworks.reading.graph import Graph, Node
from initlab.frameworks.reading.recognition import Recognised

TANH, HALF = Recognised(f="tanh"), Recognised(slope=0.5)


class Drawn:
    """A graph that is written by hand."""

    def __init__(self) -> None:
        self.graph = Graph()
        self.known: dict[Node, Recognised] = {}
        self.x = self.node("input")

    def node(self, kind: Any, *inputs: Node, **rest: Any) -> Node:
        return self.graph.add(Node(kind, inputs=inputs, **{"shape": (5, 7), **rest}))

    def layer(self, source: Node, name: str, **rest: Any) -> Node:
        return self.node("weight", source, params=(name,), **rest)

    def function(self, source: Node, found: Recognised, *others: Node, **rest: Any) -> Node:
        made = self.node("elementwise", source, *others, root=source.root or source, **rest)
        self.known[made] = found
        return made

    def found(self, output: Node, *, roles: dict[str, Any] | None = None) -> dict[str, Node]:
        self.graph.outputs = (output,)
        names = {name for node in self.graph.nodes for name in node.params}
        params = {n: ParamSpec(path=n, shape=(7, 6), role=(roles or {}).get(n, "dense")) for n in names}
        return activations(self.graph, params, self.known.__getitem__)


def test_it_is_the_function_behind_norms_sums_and_moves_of_one_shape() -> None:
    net = Drawn()
    normed = net.node("norm", net.layer(net.x, "a"))
    act = net.function(net.node("pass", net.node("add", normed, net.x), form="dropout"), TANH)
    out = net.layer(act, "b", shape=(5, 3))
    assert net.found(out) == {"a": act, "b": out}


def test_a_line_is_no_nonlinearity() -> None:
    net = Drawn()
    hidden = net.layer(net.x, "a")
    out = net.layer(net.function(hidden, HALF), "b")
    assert net.found(out)["a"] is hidden


def test_a_formula_counts_from_its_end() -> None:
    net = Drawn()
    hidden = net.layer(net.x, "a")
    whole = net.function(hidden, TANH, net.function(hidden, Recognised(f="sigmoid")))
    assert net.found(net.layer(whole, "b"))["a"] is whole


def test_a_value_that_is_only_looked_at_is_passed_by() -> None:
    net = Drawn()
    hidden = net.layer(net.x, "a")
    net.node("pass", net.function(hidden, Recognised(f="abs")), form="pool", shape=())
    act = net.function(hidden, TANH)
    assert net.found(net.layer(act, "b"))["a"] is act


def test_what_a_later_weighted_sum_had_a_part_in_belongs_to_that_one() -> None:
    net = Drawn()
    first = net.layer(net.x, "a")
    second = net.layer(first, "b")
    act = net.function(net.node("add", first, second), TANH)
    assert net.found(act) == {"a": first, "b": act}


def test_a_function_of_another_shape_or_behind_a_product_is_none_of_the_layers() -> None:
    net = Drawn()
    first, second = net.layer(net.x, "a"), net.layer(net.x, "b")
    flat = net.function(net.node("pass", first, form="moved", shape=(35,)), TANH, shape=(35,))
    gated = net.function(net.node("mul", second, net.x), TANH)
    assert net.found(net.node("concat", flat, gated)) == {"a": first, "b": second}


def test_a_table_that_a_head_multiplies_by_is_a_layer_where_it_is_looked_up() -> None:
    net = Drawn()
    rows = net.layer(net.x, "table", form="table")
    head = net.layer(net.layer(rows, "a"), "table", shape=(5, 11))
    assert net.found(head, roles={"table": "embedding"})["table"] is rows


def test_of_a_layer_that_runs_twice_the_last_run_counts() -> None:
    net = Drawn()
    again = net.function(net.layer(net.function(net.layer(net.x, "a"), TANH), "a"), TANH)
    assert net.found(net.layer(again, "b"))["a"] is again
