"""What must hold on every back end; ``test_backends.py`` runs this file again on the others."""

from __future__ import annotations

import random
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext

import keras
import numpy as np
import pytest
from keras import layers, ops

from initlab.core.adapter import WeightSource
from initlab.core.errors import InitlabError
from initlab.core.facts.arch import Mlp
from initlab.core.facts.spec import ParamSpec
from initlab.core.laws import Uniform
from initlab.frameworks.keras.adapter import ADAPTER
from initlab.frameworks.keras.zoo import build_mlp

LAW = Uniform(-1.0, 1.0)
KINDS: dict[str, tuple[Callable[[], keras.Layer], tuple[int, ...]]] = {
    "dense": (lambda: layers.Dense(5), (4,)),
    "conv1d": (lambda: layers.Conv1D(6, 3), (8, 4)),
    "conv2d": (lambda: layers.Conv2D(6, (3, 2), strides=2, padding="same"), (8, 8, 4)),
    "conv2d in groups": (lambda: layers.Conv2D(6, 3, groups=2), (8, 8, 4)),
    "conv3d": (lambda: layers.Conv3D(3, 2), (4, 4, 4, 2)),
    "conv1d transpose": (lambda: layers.Conv1DTranspose(5, 4, strides=2), (6, 3)),
    "conv2d transpose": (lambda: layers.Conv2DTranspose(5, (4, 3), strides=2), (6, 6, 3)),
    "depthwise conv1d": (lambda: layers.DepthwiseConv1D(3), (8, 4)),
    "depthwise conv2d": (lambda: layers.DepthwiseConv2D(3, depth_multiplier=2), (8, 8, 4)),
    "separable conv2d": (lambda: layers.SeparableConv2D(5, 3, depth_multiplier=2), (8, 8, 4)),
    "einsum": (lambda: layers.EinsumDense("abc,cde->abde", output_shape=(None, 2, 3), bias_axes="de"), (5, 4)),
    "einsum back": (lambda: layers.EinsumDense("abcd,cde->abe", output_shape=(None, 5)), (4, 2, 3)),
    "einsum of experts": (lambda: layers.EinsumDense("bei,eio->beo", output_shape=(2, 5)), (2, 4)),
    "lstm": (lambda: layers.LSTM(3), (5, 4)),
    "gru": (lambda: layers.GRU(3), (5, 4)),
    "simple rnn": (lambda: layers.SimpleRNN(3), (5, 4)),
    "conv lstm": (lambda: layers.ConvLSTM2D(3, 3), (2, 6, 6, 2)),
    "bidirectional": (lambda: layers.Bidirectional(layers.LSTM(3)), (5, 4)),
    "time distributed": (lambda: layers.TimeDistributed(layers.Dense(3)), (5, 4)),
    "spectral norm": (lambda: layers.SpectralNormalization(layers.Conv2D(3, 3)), (8, 8, 4)),
    "batch norm": (lambda: layers.BatchNormalization(), (4,)),
    "layer norm": (lambda: layers.LayerNormalization(), (4,)),
    "group norm": (lambda: layers.GroupNormalization(2), (8, 8, 4)),
    "rms norm": (lambda: layers.RMSNormalization(), (4,)),
    "prelu": (lambda: layers.PReLU(), (4,)),
}
ROLES = {
    "batch norm": {"norm_scale", "norm_bias"},
    "layer norm": {"norm_scale", "norm_bias"},
    "group norm": {"norm_scale", "norm_bias"},
    "rms norm": {"norm_scale"},
    "prelu": {"scale"},
}


def chain(kind: str) -> keras.Model:
    make, shape = KINDS[kind]
    return keras.Sequential([keras.Input(shape), make()])


def fill(model: keras.Model, *, seed: int = 0) -> tuple[ParamSpec, ...]:
    params = ADAPTER.describe(model).params
    for p in params:
        ADAPTER.write(model, p, WeightSource(LAW, p, seed))
    return params


@pytest.fixture(scope="module", params=KINDS)
def filled(request: pytest.FixtureRequest) -> tuple[str, keras.Model, tuple[ParamSpec, ...]]:
    """A model of one layer of each kind, written into, and its description."""
    model = chain(request.param)
    return request.param, model, fill(model)


def test_what_is_written_is_read_back_bit_for_bit(filled) -> None:
    _, model, params = filled
    for p in params:
        np.testing.assert_array_equal(ADAPTER.read(model, p), WeightSource(LAW, p, 0).part())


def test_every_trainable_variable_is_described_once_with_a_known_role(filled) -> None:
    kind, model, params = filled
    assert [p.native for p in params] == [v.path for v in model.trainable_variables]
    assert {p.role for p in params} <= ROLES.get(kind, {"dense", "conv", "conv_transpose", "recurrent", "bias"})


@pytest.mark.parametrize(
    "kind", ["dense", "conv1d", "conv2d", "conv2d in groups", "conv3d", "conv1d transpose", "conv2d transpose"]
)
def test_row_r_of_a_weight_makes_output_r(kind: str) -> None:
    check_rows(chain(kind))


@pytest.mark.parametrize("kind", ["depthwise conv1d", "depthwise conv2d", "einsum", "einsum back"])
def test_row_r_makes_output_r_where_keras_stores_other_axes(kind: str) -> None:
    check_rows(chain(kind))


def check_rows(model: keras.Model) -> None:
    weight = ADAPTER.describe(model).params[0]
    x = np.random.default_rng(1).standard_normal((2, *model.input_shape[1:])).astype(np.float32)
    whole = WeightSource(LAW, weight, 3).part()
    for row in range(weight.shape[0]):
        variable = model.trainable_variables[0]
        ADAPTER.write(model, weight, WeightSource(LAW, weight, 3))
        kept = np.zeros_like(whole)
        kept[row] = ADAPTER.read(model, weight)[row]
        assign_canonical(model, weight, variable, kept)
        y = ops.convert_to_numpy(model(x))
        moved = np.abs(y).reshape(-1, weight.shape[0])
        assert moved[:, row].max() > 0
        assert np.delete(moved, row, axis=1).max(initial=0.0) == 0.0


def assign_canonical(model: keras.Model, weight: ParamSpec, variable: object, values: np.ndarray) -> None:
    class Given:
        param = weight

        def part(self, index: object = None, *, dtype: object = "float32") -> np.ndarray:
            return values

    ADAPTER.write(model, weight, Given())  # type: ignore[arg-type]


def test_a_narrow_policy_holds_the_float32_weights_cast(policy) -> None:
    wide = chain("dense")
    policy("bfloat16")
    narrow = chain("dense")
    p = fill(wide)[0]
    fill(narrow)
    cast = ops.convert_to_numpy(ops.cast(ops.cast(ADAPTER.read(wide, p), "bfloat16"), "float32"))
    assert keras.backend.standardize_dtype(narrow.trainable_variables[0].dtype) == "bfloat16"
    np.testing.assert_array_equal(ADAPTER.read(narrow, p), cast)


def test_a_float64_variable_is_not_rounded_to_float32(policy) -> None:
    policy("float64")
    with double_precision():
        model = chain("dense")
        p = fill(model)[0]
        np.testing.assert_array_equal(ADAPTER.read(model, p), WeightSource(LAW, p, 0).part(dtype="float64"))


def double_precision() -> AbstractContextManager[object]:
    if keras.backend.backend() != "jax":
        return nullcontext()
    import jax

    return jax.enable_x64(True)


class Gated(keras.Layer):
    def build(self, shape: tuple[int, ...]) -> None:
        self.gate = self.add_weight(shape=(), name="gate")

    def call(self, x):
        return x * self.gate


def test_a_scalar_is_written_and_read() -> None:
    model = keras.Sequential([keras.Input((4,)), Gated()])
    (p,) = fill(model)
    assert (p.shape, p.role) == ((), "scale")
    assert ADAPTER.read(model, p) == WeightSource(LAW, p, 0).part()


if keras.backend.backend() == "torch":  # the one back end whose variables can be without memory

    def test_a_model_on_the_meta_device_is_refused_with_the_way_out() -> None:
        with keras.device("meta"):
            model = chain("dense")
        with pytest.raises(InitlabError, match=r"meta device.*build the model on a real device"):
            ADAPTER.describe(model)


ARCHS = {
    "plain": Mlp((6, 12, 8, 3)),
    "gelu, layer norm, dropout": Mlp((6, 12, 8, 3), activation="gelu", norm="layer", dropout=0.3),
    "batch norm without biases": Mlp((6, 12, 3), activation="silu", norm="batch", bias=False),
    "residual": Mlp((6, 8, 8, 8, 3), activation="tanh", residual=True),
    "an activation with options": Mlp((6, 8, 3), activation="leaky_relu(negative_slope=0.2)"),
}


@pytest.mark.parametrize("name", ARCHS)
def test_our_mlp_has_the_paths_shapes_and_roles_of_its_own_spec(name: str) -> None:
    arch = ARCHS[name]
    ours = [(p.path, p.shape, p.role, p.layer_shape) for p in arch.spec().params]
    seen = [(p.path, p.shape, p.role, p.layer_shape) for p in ADAPTER.describe(build_mlp(arch)).params]
    assert seen == ours


@pytest.mark.parametrize("name", [name for name in ARCHS if name != "residual"])
def test_a_trace_of_our_mlp_finds_the_activations_of_its_own_spec(name: str) -> None:
    arch = ARCHS[name]
    ours = [(p.path, p.f_in, p.f_out) for p in arch.spec().params]
    assert [(p.path, p.f_in, p.f_out) for p in ADAPTER.describe(build_mlp(arch)).params] == ours


@pytest.mark.parametrize("name", ARCHS)
def test_the_same_weights_give_the_outputs_of_the_jax_engine(name: str) -> None:
    pytest.importorskip("jax")
    from initlab.frameworks.jax.training.model import forward, initial_moments

    arch, model = ARCHS[name], build_mlp(ARCHS[name])
    fill(model)
    x = np.random.default_rng(2).standard_normal((16, 6)).astype(np.float32)
    params = {p.path: WeightSource(LAW, p, 0).part() for p in arch.spec().params}
    running = initial_moments(arch) if arch.norm == "batch" else None
    engine = np.asarray(forward(arch, params, x, running=running).logits)
    # Sums of at most 12 terms of size up to 12, in another order: some units in the last place (1.2e-7) of their size.
    np.testing.assert_allclose(ops.convert_to_numpy(model(x)), engine, rtol=1e-5, atol=2e-5)


class Branching(keras.Model):
    """Functions of ``keras.ops``, and a decision that depends on the numbers."""

    def __init__(self, depth: int) -> None:
        super().__init__()
        self.blocks = [layers.Dense(8) for _ in range(depth)]

    def call(self, x):
        for dense in self.blocks:
            x = ops.relu(dense(x))
        if ops.mean(x) > 1e6:
            x = x / 2
        return x


def test_functions_in_a_call_that_depends_on_the_data_are_all_seen() -> None:
    model = Branching(20)
    x = np.ones((2, 8), np.float32)
    spec = ADAPTER.describe(model, example=x)
    weights = [p for p in spec.params if p.is_weight]
    assert [p.f_in for p in weights] == [None, *["relu"] * 19]
    assert [p.f_out for p in weights] == ["relu"] * 20
    assert spec.fidelity == "partial"


class Outside(keras.Model):
    """A residual net that uses the back end's own ReLU and plain operators."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.head = layers.Dense(32), layers.Dense(2)
        self.blocks = [(layers.Dense(32), layers.Dense(32)) for _ in range(2)]
        self.inner = [dense for pair in self.blocks for dense in pair]

    def call(self, x):
        relu = BACKENDS_OWN_RELU[keras.backend.backend()]()
        x = relu(self.stem(x))
        for first, second in self.blocks:
            x = relu(x + second(relu(first(x))))
        return self.head(x)


BACKENDS_OWN_RELU = {
    "jax": lambda: __import__("jax").nn.relu,
    "tensorflow": lambda: __import__("tensorflow").nn.relu,
    "torch": lambda: __import__("torch").relu,
}


def test_the_back_ends_own_functions_and_operators_are_told_by_their_values() -> None:
    keras.utils.set_random_seed(0)
    x = np.random.default_rng(0).standard_normal((64, 16)).astype(np.float32)
    spec = ADAPTER.describe(Outside(), example=x)
    inner = [p for p in spec.params if p.is_weight and p.shape == (32, 32)]
    assert [p.f_in for p in inner] == ["relu"] * 4
    assert [p.branch and p.branch.is_last for p in inner] == [False, True, False, True]


class Block(keras.Layer):
    """A pre-norm transformer block, its residual sums made with operators."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm_1, self.norm_2 = layers.LayerNormalization(), layers.LayerNormalization()
        self.attend = layers.MultiHeadAttention(2, width // 2)
        self.up, self.down = layers.Dense(4 * width), layers.Dense(width)
        self.drop = layers.Dropout(0.5)

    def call(self, x):
        h = self.norm_1(x)
        x = x + self.attend(h, h)
        return x + self.drop(self.down(ops.gelu(self.up(self.norm_2(x)), approximate=False)))


class Transformer(keras.Model):
    def __init__(self, blocks: int = 2) -> None:
        super().__init__()
        self.embed = layers.Embedding(20, 8)
        self.blocks = [Block(8) for _ in range(blocks)]
        self.norm = layers.BatchNormalization()
        self.head = layers.Dense(3)

    def call(self, ids):
        x = self.embed(ids)
        for block in self.blocks:
            x = block(x)
        return self.head(ops.mean(self.norm(x), axis=1))


IDS = np.arange(10, dtype=np.int32).reshape(2, 5)


def built_transformer() -> Transformer:
    model = Transformer()
    model(keras.KerasTensor(IDS.shape, dtype="int32"))
    return model


def test_a_subclassed_transformer_is_seen_inside() -> None:
    model = built_transformer()
    spec = ADAPTER.describe(model)
    down = next(p for p in spec.params if p.path == "1/2/weight")
    assert (spec.fidelity, down.f_in) == ("traced", "gelu")
    assert down.branch is not None
    assert (down.branch.layer, down.branch.layers, down.branch.branches, down.branch.is_last) == (2, 2, 4, True)
    query = next(p for p in spec.params if p.path == "1/0/query/weight")
    assert (query.shape, query.in_moment, query.f_in) == ((8, 8), 1.0, None)


def state_of(model: keras.Model) -> list[object]:
    generators = [layer.seed_generator for block in model.blocks for layer in [block.drop]]
    return [
        [ops.convert_to_numpy(v.value).tobytes() for v in model.variables],
        [ops.convert_to_numpy(g.state.value).tobytes() for g in generators],
        [v.trainable for v in model.variables],
        [len(layer._inbound_nodes) + len(layer._outbound_nodes) for layer in model._flatten_layers()],
        random.getstate(),
        np.random.get_state()[1].tobytes(),  # noqa: NPY002  (the state that must not move)
    ]


@pytest.mark.parametrize("example", [None, IDS], ids=["without example", "with example"])
@pytest.mark.usefixtures("fresh_names")
def test_describing_changes_nothing_of_the_model_or_of_any_generator(example: np.ndarray | None) -> None:
    model = built_transformer()
    before = state_of(model)
    ADAPTER.describe(model, example=example)
    assert state_of(model) == before
    assert layers.Dense(1).name == "dense_5"  # five before it: Keras' counters have not moved either
