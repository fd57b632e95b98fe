"""Places are read off a graph that no framework made: kinds, inputs, paths and facts."""

from __future__ import annotations

from typing import Any

import pytest

from initlab.core.signals.readings import Place
from initlab.frameworks.reading.graph import Form, Graph, Home, Node
from initlab.frameworks.reading.places import Placed, batch_first, places
from initlab.frameworks.reading.recognition import Recognised
from initlab.frameworks.reading.signals import flat_beyond, is_followed, is_measured, is_whole


class Drawn:
    """A graph that is written by hand."""

    def __init__(self) -> None:
        self.graph = Graph()
        self.owners: dict[str, str] = {}
        self.known: dict[Node, Recognised] = {}
        self.x = self.node("input", shape=(5, 7))

    def node(self, kind: Any, *inputs: Node, home: str = "", leaf: bool = False, **rest: Any) -> Node:
        made = self.graph.add(Node(kind, inputs=inputs, **{"name": kind, "shape": (5, 7), **rest}))
        self.graph.homes[made] = Home(home, leaf)
        return made

    def function(self, source: Node, found: Recognised, **rest: Any) -> Node:
        made = self.node("elementwise", source, root=source.root or source, **rest)
        self.known[made] = found
        return made

    def placed(self, *outputs: Node) -> Placed:
        self.graph.outputs = outputs
        return places(
            self.graph,
            recognise=self.known.__getitem__,
            owners=self.owners,
            laid=lambda node: (node.shape or (), len(node.shape or ()) - 1),
            outputs=outputs,
        )

    def last(self, *outputs: Node) -> Place:
        return self.placed(*outputs).places[-1]


def kinds(found: Placed) -> list[tuple[str, str, tuple[int, ...]]]:
    return [(place.kind, place.path, place.inputs) for place in found.places]


def test_a_chain_has_a_place_for_each_value_and_none_for_moves() -> None:
    net = Drawn()
    hidden = net.node("weight", net.x, params=("fc.w",), home="fc", leaf=True)
    net.graph.biases[hidden] = ("fc.b",)
    act = net.function(hidden, Recognised(f="elu(alpha=2.0)"), home="act", leaf=True)
    moved = net.node("pass", act, form="moved", shape=(7, 5))
    out = net.node("weight", moved, params=("head.w",), home="head", leaf=True)
    found = net.placed(out)
    assert kinds(found) == [
        ("input", "input", ()),
        ("weighted", "fc", (0,)),
        ("activation", "act:elu", (1,)),
        ("weighted", "head", (2,)),
    ]
    assert found.places[1].params == ("fc.w", "fc.b")
    assert found.places[2].f == "elu(alpha=2.0)"
    assert found.of[moved] == found.of[act] == 2
    assert moved not in found.whole


def test_a_formula_is_one_place_where_it_ends() -> None:
    net = Drawn()
    hidden = net.node("weight", net.x, params=("w",))
    half = net.function(hidden, Recognised(f="sigmoid"))
    whole = net.node("elementwise", hidden, half, root=hidden)
    net.known[whole] = Recognised(f="silu")
    found = net.placed(net.node("weight", whole, params=("v",)))
    assert [(place.kind, place.f) for place in found.places[2:]] == [("activation", "silu"), ("weighted", None)]


def test_a_line_is_a_scale_with_its_factor() -> None:
    net = Drawn()
    place = net.last(net.function(net.x, Recognised(slope=0.25)))
    assert (place.kind, place.facts, place.f) == ("scale", {"factor": 0.25}, None)


FORMS: dict[str, tuple[dict[str, Any], tuple[str, dict[str, Any]]]] = {
    "dropout": ({"form": "dropout", "facts": {"rate": 0.3}}, ("dropout", {"rate": 0.3})),
    "pool": ({"form": "pool", "facts": {"how": "max", "size": 6.0}}, ("pool", {"how": "max", "size": 6.0})),
    "reduced": ({"form": "reduced", "name": "var"}, ("unknown", {"name": "var"})),
    "a parameter added": ({"form": "shifted", "params": ("p",)}, ("sum", {})),
    "a parameter multiplied": ({"form": "scaled", "params": ("p",)}, ("product", {})),
    "a parameter beside": ({"form": "joined", "params": ("p",)}, ("concat", {})),
    "numbers of no layer": ({"form": "scaled"}, ("pass", {"multiplied": 1.0})),
    "filled up": ({}, ("pass", {})),
}


@pytest.mark.parametrize("name", FORMS)
def test_what_becomes_of_entries_is_told_by_the_form(name: str) -> None:
    net = Drawn()
    rest, wanted = FORMS[name]
    place = net.last(net.node("pass", net.x, **rest))
    assert (place.kind, dict(place.facts)) == wanted
    assert place.inputs == (0,)


def test_a_table_is_weighted_and_a_recurrent_layer_is_not_known() -> None:
    net = Drawn()
    table = net.node("weight", net.x, params=("t",), form="table", facts={"stride": (2,)})
    gates = net.node("weight", table, params=("g",), form="recurrent", name="gru")
    found = net.placed(gates)
    assert (found.places[1].kind, found.places[1].facts) == ("weighted", {"table": 1.0})
    assert (found.places[2].kind, found.places[2].facts) == ("unknown", {"name": "gru"})


def test_attention_that_is_one_call_has_its_shares_beside_its_mean() -> None:
    net = Drawn()
    value, query, key = (net.node("weight", net.x, params=(n,), shape=shape) for n, shape in (
        ("v", (5, 9, 4)), ("q", (5, 3, 4)), ("k", (5, 9, 4))))  # fmt: skip
    mixed = net.node("pass", value, query, key, form="mix", shape=(5, 3, 4), home="attn")
    found = net.placed(mixed)
    shares, mean = found.places[-2:]
    assert (shares.kind, shares.path, shares.inputs, shares.shape) == ("softmax", "attn:softmax", (2, 3), (5, 3, 9))
    assert (mean.kind, mean.path, mean.inputs) == ("mix", "attn:attention", (4, 1))
    assert (found.shares[mixed], found.of[mixed]) == (4, 5)


def test_attention_that_is_written_out_has_its_shares_first() -> None:
    net = Drawn()
    value = net.node("weight", net.x, params=("v",))
    shares = net.node("unknown", net.x, form="softmax", name="softmax")
    found = net.placed(net.node("pass", value, shares, form="mix"))
    assert found.places[2].kind == "softmax"
    assert found.places[3].inputs == (2, 1)


@pytest.mark.parametrize(
    ("form", "spread", "wanted"),
    [("", (5, 1), "rms"), ("shifted", (5, 1), "layer"), ("shifted", (1, 7), "batch"), ("", (1, 7), "batch")],
)
def test_a_norm_that_is_written_out_is_told_by_its_spread(form: Any, spread: tuple[int, ...], wanted: str) -> None:
    net = Drawn()
    value = net.node("pass", net.x, form=form)
    size = net.node("pass", value, form="reduced", shape=spread)
    place = net.last(net.node("norm", value, size))
    assert (place.kind, place.facts) == ("norm", {"norm": wanted, "eps": 0.0})
    assert place.inputs == (1,)


def test_a_norm_of_earlier_batches_is_not_known() -> None:
    net = Drawn()
    facts = {"norm": "batch", "eps": 0.003}
    place = net.last(net.node("norm", net.x, facts=facts, form="running", name="batch_norm"))
    assert (place.kind, place.facts) == ("unknown", {"name": "batch_norm with running statistics"})
    healthy = Drawn()
    assert healthy.last(healthy.node("norm", healthy.x, facts=facts)).facts == facts


def test_a_path_is_the_leaf_the_owner_or_the_home_and_no_two_are_alike() -> None:
    net = Drawn()
    net.owners = {"w": "block.fc"}
    first = net.node("weight", net.x, params=("w",), home="block")
    second = net.node("weight", first, params=("w",), home="block")
    added = net.node("add", first, second, home="block")
    unknown = net.node("unknown", added, home="odd", leaf=True, name="fft")
    found = net.placed(net.node("unknown", unknown, name="fft"))
    assert [place.path for place in found.places] == ["input", "block.fc", "block.fc#2", "block:add", "odd", "fft"]


def test_what_leads_to_no_output_is_no_place() -> None:
    net = Drawn()
    hidden = net.node("weight", net.x, params=("w",))
    net.node("unknown", hidden, name="histogram")
    assert [place.kind for place in net.placed(hidden).places] == ["input", "weighted"]


def test_samples_come_first() -> None:
    assert batch_first((7, 2, 5), 1, 2) == ((2, 7, 5), 2)
    assert batch_first((5, 2, 7), 1, 0) == ((2, 5, 7), 1)
    assert batch_first((2, 5), 0, -1) == ((2, 5), 1)


def test_entries_that_only_move_are_not_measured() -> None:
    x = Node("input")
    forms: tuple[Form, ...] = ("moved", "dropout", "scaled", "pool", "mix")
    found = {form: is_measured(Node("pass", inputs=(x,), form=form)) for form in forms}
    assert found == {"moved": False, "dropout": False, "scaled": False, "pool": True, "mix": True}
    assert is_measured(Node("pass", inputs=(x,), form="scaled", params=("gain",)))
    assert [is_whole(Node(kind)) for kind in ("weight", "elementwise", "norm", "mul")] == [True, True, False, False]
    assert [is_followed(Node(kind)) for kind in ("weight", "add", "elementwise", "input")] == [True, True, False, False]


def test_a_bounded_activation_is_flat_beyond_its_ends() -> None:
    low, high = flat_beyond("hard_sigmoid") or (0.0, 0.0)
    assert 0.0 < low < 1e-5
    assert 1.0 - 1e-5 < high < 1.0
    assert flat_beyond("relu6") is None  # silent below zero, not saturated
    # s (1 - s) = 1 / 80, a twentieth of its largest value.
    assert (flat_beyond("sigmoid") or (0.0, 0.0))[1] == pytest.approx((1 + 0.95**0.5) / 2, rel=1e-6)
