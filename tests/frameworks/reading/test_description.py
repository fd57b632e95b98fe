"""How facts, uses and surroundings make a description: one rule, on parameters of no framework."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from initlab.core.facts.spec import Axes, Branch, ParamSpec
from initlab.frameworks.reading import layout
from initlab.frameworks.reading.description import bare_layout, by_use, model_spec
from initlab.frameworks.reading.facts import Facts, Parameter, is_drawn, role_by_name
from initlab.frameworks.reading.graph import Use
from initlab.frameworks.reading.intent import Present
from initlab.frameworks.reading.layout import Layout
from initlab.frameworks.reading.surroundings import Surroundings, Trace

PLACE = Surroundings("relu", "tanh", 0.3, order=2, norm="batch", is_output=True, is_end=True)
LAST = Branch(2, 2, 3, is_last=True)


def out_in(role: str, shape: tuple[int, ...], groups: int = 1) -> Layout:
    return layout.same(shape)


def in_out(role: str, shape: tuple[int, ...], groups: int = 1) -> Layout | None:
    return layout.dense(shape) if len(shape) == 2 else layout.conv(shape) if role == "conv" else None


def parameter(native: str, facts: Facts | None = None, shape: tuple[int, ...] = (6, 4), **options: object) -> Parameter:
    path, module = native.replace(".", "/"), native.rpartition(".")[0]
    drawn = np.random.default_rng(3).standard_normal(shape)
    given = {"first": native, "module": module, "present": Present(lambda first=False: drawn), **options}
    return Parameter(native=native, path=path, shape=shape, facts=facts, **given)


def described(
    *found: Parameter, places=None, uses=None, branches=None, stored=out_in, biases=None
) -> dict[str, ParamSpec]:
    seen = Trace(places or {}, uses or {}, branches or {}, "traced", (), biases or {})
    spec = model_spec(found, seen, None, stored={p.native: stored for p in found})
    return {p.native: p for p in spec.params}


def dense(**facts: object) -> Facts:
    return Facts("dense", layout.same((6, 4)), **facts)


def test_a_weight_knows_what_stands_around_it() -> None:
    p = described(parameter("a.w", dense()), places={"a.w": PLACE}, branches={"a.w": LAST})["a.w"]
    assert (p.f_in, p.f_out, p.in_moment, p.norm, p.is_output, p.branch) == ("relu", "tanh", 0.3, "batch", True, LAST)


@pytest.mark.parametrize(
    ("facts", "told"),
    [
        ({"takes_input": False}, (None, None, "tanh", "batch", True)),
        ({"makes_output": False}, ("relu", 0.3, None, None, False)),
        ({"makes_output": False, "is_gated": True}, ("relu", 0.3, None, None, False)),
        ({"takes_input": False, "makes_output": False, "f_in": "sin", "f_out": "elu"},
         ("sin", None, "elu", None, False)),
        ({"f_out": "elu"}, ("relu", 0.3, "elu", "batch", True)),
    ],
)  # fmt: skip
def test_what_stays_inside_a_layer_meets_nothing_outside(facts: dict[str, object], told: tuple[object, ...]) -> None:
    p = described(parameter("a.w", dense(**facts)), places={"a.w": PLACE})["a.w"]
    assert (p.f_in, p.in_moment, p.f_out, p.norm, p.is_output) == told


def test_an_activation_inside_a_layer_is_known_without_a_trace() -> None:
    assert described(parameter("a.w", dense(f_out="elu")))["a.w"].f_out == "elu"


def test_what_is_followed_by_more_of_its_layer_ends_no_branch() -> None:
    def is_last(**facts: object) -> bool:
        return described(parameter("a.w", dense(**facts)), branches={"a.w": LAST})["a.w"].branch.is_last

    assert is_last()
    assert is_last(takes_input=False)
    assert is_last(makes_output=False, is_gated=True)
    assert not is_last(makes_output=False)


def test_the_rows_of_a_table_have_no_input() -> None:
    p = described(parameter("t", Facts("embedding", layout.same((6, 4)))), places={"t": PLACE})["t"]
    assert (p.f_in, p.in_moment, p.f_out) == (None, None, "tanh")


def test_a_norms_scale_has_a_branch_alone() -> None:
    scale = parameter("n.scale", Facts("norm_scale", layout.same((6,))), (6,))
    p = described(scale, places={"n.scale": PLACE}, branches={"n.scale": LAST})["n.scale"]
    assert (p.branch, p.f_out, p.norm) == (LAST, None, None)
    assert described(scale, uses={"n.scale": [Use("norm_bias")]})["n.scale"].role == "norm_bias"


@pytest.mark.parametrize(
    ("split", "blocks"),
    [(3, (2, 2, 2)), ((4, 2), (4, 2)), ((3,), (3, 3)), (4, ()), (1, ()), ((4,), ()), ((4, 3), ()), ((6, 0), ()),
     (None, ())],
)  # fmt: skip
def test_an_output_that_is_cut_is_packed(split: object, blocks: tuple[int, ...]) -> None:
    assert described(parameter("a.w", dense()), places={"a.w": replace(PLACE, split=split)})["a.w"].blocks == blocks
    grouped = Facts("conv", layout.same((6, 2, 3)), groups=2)
    assert described(parameter("a.w", grouped), places={"a.w": replace(PLACE, split=split)})["a.w"].blocks == ()
    own = dense(blocks=(5, 1))
    assert described(parameter("a.w", own), places={"a.w": replace(PLACE, split=split)})["a.w"].blocks == (5, 1)


@pytest.mark.parametrize(
    ("module", "shape", "blocks"),
    [("h.0.qkv", (12, 4), (4, 4, 4)), ("h/to_kv", (8, 4), (4, 4)), ("h.qkv", (16, 4), ()), ("h.fc", (12, 4), ()),
     ("h.qkv", (10, 4), ())],
)  # fmt: skip
def test_packed_queries_are_known_by_the_name_of_their_layer(
    module: str, shape: tuple[int, ...], blocks: tuple[int, ...]
) -> None:
    p = parameter("w", Facts("dense", layout.same(shape)), shape, module=module)
    assert described(p)["w"].blocks == blocks


@pytest.mark.parametrize(
    ("use", "shape", "stored", "told"),
    [
        (Use("dense"), (6, 4), out_in, ("dense", (6, 4), None)),
        (Use("dense", Axes((0,), (1,))), (6, 4), out_in, ("dense", (6, 4), Axes((0,), (1,)))),
        (Use("dense", Axes((0,), (1,))), (6, 4), in_out, ("dense", (4, 6), None)),
        (Use("dense"), (6, 4), in_out, ("dense", (6, 4), Axes((1,), (0,)))),
        (Use("dense", Axes((1,), (2,), (0,))), (3, 6, 4), in_out, ("dense", (3, 6, 4), Axes((1,), (2,), (0,)))),
        (Use("dense", Axes((1,), (2,))), (6, 4), out_in, None),  # axes that it has not
        (Use("dense"), (6,), out_in, None),
        (Use("dense", clear=False), (6, 4), out_in, None),
        (Use("conv", stride=(1, 1)), (3, 3, 4, 6), in_out, ("conv", (6, 4, 3, 3), None)),
        (Use("conv_transpose"), (3, 3, 4, 6), in_out, None),  # nobody says how it is stored
        (Use("embedding"), (6,), out_in, ("embedding", (6,), None)),
        (Use("norm_bias"), (6,), out_in, ("norm_bias", (6,), None)),
        (Use("bias"), (6,), out_in, ("bias", (6,), None)),
    ],
)
def test_a_parameter_of_an_unknown_class_is_told_by_its_use(use: Use, shape: tuple[int, ...], stored, told) -> None:
    found = by_use(shape, [use, use], stored)
    assert (None if found is None else (found.role, found.layout.shape, found.axes)) == told
    if found is not None:
        spec = ParamSpec(shape=found.layout.shape, role=found.role, axes=found.axes)
        assert bare_layout(spec, shape, stored) == found.layout  # what is written is laid out as it was described


def test_a_parameter_that_is_used_in_two_ways_is_unknown() -> None:
    assert by_use((6, 4), [Use("dense"), Use("embedding")], out_in) is None
    assert by_use((6, 4), [], out_in) is None
    assert described(parameter("w"))["w"].role == "unknown"
    assert described(parameter("w", unseen=dense()))["w"].role == "dense"


def test_strides_of_one_are_none() -> None:
    assert by_use((6, 4, 3, 3), [Use("conv", stride=(1, 1))], out_in).stride == ()
    assert by_use((6, 4, 3, 3), [Use("conv", stride=(1, 2), groups=3)], out_in).stride == (1, 2)


def test_a_bias_that_is_told_by_its_use_knows_its_weight() -> None:
    found = [parameter("w", dense()), parameter("b", None, (6,)), parameter("c", None, (4,))]
    told = described(*found, uses={"b": [Use("bias")], "c": [Use("bias")]}, biases={"b": "w", "c": "w"})
    assert (told["b"].layer_shape, told["c"].layer_shape) == ((6, 4), None)


def test_the_bias_of_what_is_returned_is_a_head_by_its_module() -> None:
    prior = Present(lambda first=False: np.full(6, -2.0, np.float32))
    found = [parameter("a.w", dense()), parameter("a.b", Facts("bias", layout.same((6,))), (6,), present=prior)]
    assert described(*found, places={"a.w": PLACE})["a.b"].intent.startswith("the output starts at")
    assert described(*found, places={"a.w": replace(PLACE, is_output=False)})["a.b"].intent == "the biases start at -2"


def test_parameters_come_in_the_order_in_which_their_modules_are_used() -> None:
    found = [parameter("z.w", dense()), parameter("z.b", Facts("bias", layout.same((6,))), (6,)),
             parameter("n.b", Facts("bias", layout.same((6,))), (6,)), parameter("a.w", dense())]  # fmt: skip
    order = {"z.w": replace(PLACE, order=5), "a.w": replace(PLACE, order=1)}
    assert list(described(*found, places=order)) == ["a.w", "z.w", "z.b", "n.b"]


def test_types_that_are_not_drawn_and_padding_are_facts_and_notes() -> None:
    found = [parameter("c", dense(), is_drawable=False),
             parameter("t", Facts("embedding", layout.same((6, 4))), padding_row=2),
             parameter("u", Facts("embedding", layout.same((6, 4))), padding_row=2, first="t")]  # fmt: skip
    spec = model_spec(found, Trace({}, {}, {}, "declared", ("seen",)), None, stored={"c": out_in}, notes=("more",))
    assert (spec["c"].role, spec["c"].is_drawable, spec["t"].padding_row, spec["u"].tied_to) == (
        "unknown",
        False,
        2,
        "t",
    )
    assert spec.notes == (
        "seen",
        "more",
        "row 2 of t is padding and is set to zero",
        "c has numbers of a type that is not drawn",
    )


@pytest.mark.parametrize(
    ("leaf", "rank", "siblings", "role"),
    [
        ("weight", 1, (), None),
        ("scale", 1, ("scale", "bias"), None),
        ("bias", 1, ("scale", "bias"), None),
        ("bias", 1, ("kernel", "bias"), "bias"),
        ("bias", 1, (), None),
        ("cls_token", 3, (), "embedding"),
        ("pos_embed", 3, (), "embedding"),
        ("gate", 0, (), None),
    ],
)
def test_names_that_everybody_gives_tell_tokens_and_no_norm(
    leaf: str, rank: int, siblings: tuple[str, ...], role: str | None
) -> None:
    assert role_by_name(leaf, rank, siblings) == role


def test_only_weights_of_two_axes_count_among_their_siblings() -> None:
    assert [is_drawn(facts, rank) for facts, rank in [(None, 2), (None, 1), (dense(), 2), (dense(), 1)]] == [
        True,
        False,
        True,
        False,
    ]
    assert not is_drawn(Facts("norm_scale", layout.same((2, 3))), 2)


def test_a_grouped_transposed_kernel_is_laid_out_group_by_group() -> None:
    order = layout.grouped_transpose((4, 3, 2), 2)
    native = np.arange(24.0).reshape(4, 3, 2)
    canonical = order.to_canonical(native)
    assert canonical.shape == (6, 2, 2)
    np.testing.assert_array_equal(canonical[4], native[2:, 1])  # unit 1 of the second group, from inputs 2 and 3
    np.testing.assert_array_equal(order.to_native(canonical, (4, 3, 2)), native)
