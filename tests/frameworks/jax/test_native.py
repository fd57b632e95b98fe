"""``initlab.jax.initializer``: a function of key, shape and dtype, by the laws and the streams of initlab."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

import initlab
from initlab.core.facts.spec import ParamSpec
from initlab.jax import initializer

KEY = jax.random.key(7)


def canonical(scheme: str, param: ParamSpec, *, path: str = "weight") -> np.ndarray:
    return initlab.draw(initlab.scheme(scheme)(param), param.shape, seed=7, path=path)


@pytest.mark.parametrize("scheme", ["he_normal", "glorot_uniform", "orthogonal", "truncated_normal", "sparse"])
def test_a_dense_kernel_is_the_transposed_draw_under_the_keys_seed(scheme: str) -> None:
    got = initializer(scheme)(KEY, (7, 12))
    np.testing.assert_array_equal(got, canonical(scheme, ParamSpec(shape=(12, 7))).T)


def test_a_convolution_is_the_draw_with_the_kernel_in_front() -> None:
    got = initializer("he_normal", groups=2)(KEY, (3, 5, 4, 6))
    param = ParamSpec(shape=(6, 4, 3, 5), role="conv", groups=2)
    np.testing.assert_array_equal(got, canonical("he_normal", param).transpose(2, 3, 1, 0))


def test_other_axes_may_be_the_inputs_and_the_outputs() -> None:
    got = initializer("glorot_uniform", in_axis=0, out_axis=(1, 2))(KEY, (10, 3, 4))
    want = canonical("glorot_uniform", ParamSpec(shape=(12, 10))).reshape(3, 4, 10).transpose(2, 0, 1)
    np.testing.assert_array_equal(got, want)


def test_each_slice_of_a_batch_axis_is_a_weight_of_its_own() -> None:
    got = initializer("orthogonal", batch_axis=0)(KEY, (3, 5, 5))
    for i, matrix in enumerate(np.asarray(got)):
        np.testing.assert_array_equal(matrix, canonical("orthogonal", ParamSpec(shape=(5, 5)), path=f"weight/{i}").T)


@pytest.mark.parametrize(
    ("scheme", "theirs"),
    [
        ("he_normal", jax.nn.initializers.he_normal()),
        ("he_uniform", jax.nn.initializers.he_uniform()),
        ("glorot_normal", jax.nn.initializers.glorot_normal()),
        ("lecun_normal", jax.nn.initializers.lecun_normal()),
    ],
)
def test_in_jaxs_dialect_the_law_is_that_of_jaxs_own_function(scheme: str, theirs) -> None:
    ours = np.asarray(initializer(scheme, dialect="jax")(KEY, (3, 3, 16, 64))).ravel()
    reference = np.asarray(theirs(jax.random.key(0), (3, 3, 16, 64))).ravel()
    assert stats.ks_2samp(ours, reference).pvalue > 1e-6
    # 5 sigma of a ratio of two stds of normal samples; laws with bounds scatter less.
    assert ours.std() / reference.std() == pytest.approx(1, abs=5 / np.sqrt(ours.size))


def test_old_and_new_keys_of_one_seed_draw_the_same() -> None:
    init = initializer("he_normal")
    np.testing.assert_array_equal(init(jax.random.PRNGKey(7), (4, 5)), init(KEY, (4, 5)))


def test_another_key_is_another_draw() -> None:
    first, second = (initializer("he_normal")(key, (4, 5)) for key in jax.random.split(KEY))
    assert bool((first != second).all())


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16, jnp.float16])
def test_a_compiled_draw_has_the_bits_of_a_plain_one(dtype: jnp.dtype) -> None:
    init = initializer("he_normal")
    compiled = jax.jit(lambda key: init(key, (64, 33), dtype))(KEY)
    np.testing.assert_array_equal(compiled, init(KEY, (64, 33), dtype))
    np.testing.assert_array_equal(compiled, init(KEY, (64, 33)).astype(dtype))


@pytest.mark.parametrize("wrap", [lambda f: f, jax.jit], ids=["plain", "compiled"])
def test_vmap_over_keys_draws_each_key_alone(wrap) -> None:
    init, keys = initializer("he_normal"), jax.random.split(KEY, 3)
    mapped = wrap(jax.vmap(lambda key: init(key, (6, 4))))(keys)
    np.testing.assert_array_equal(mapped, jnp.stack([init(key, (6, 4)) for key in keys]))


def test_eval_shape_draws_nothing() -> None:
    huge = jax.eval_shape(lambda key: initializer("he_normal")(key, (1 << 20, 1 << 20), jnp.bfloat16), KEY)
    assert (huge.shape, huge.dtype) == ((1 << 20, 1 << 20), jnp.bfloat16)


def test_flax_takes_it_plain_and_compiled() -> None:
    nn = pytest.importorskip("flax.linen")
    init = initializer("he_normal")
    net = nn.Sequential([nn.Dense(8, kernel_init=init), nn.relu, nn.Dense(8, kernel_init=init)])
    plain, compiled = (make(jax.random.key(0), jnp.ones((1, 8)))["params"] for make in (net.init, jax.jit(net.init)))
    kernels = [plain[layer]["kernel"] for layer in ("layers_0", "layers_2")]
    assert bool((kernels[0] != kernels[1]).all())
    jax.tree.map(np.testing.assert_array_equal, plain, compiled)


BAD = {
    "no key": (lambda: initializer()(3, (2, 2)), "int is not a JAX key"),
    "a float key": (lambda: initializer()(jnp.ones(2), (2, 2)), "no JAX key"),
    "many keys": (lambda: initializer()(jax.random.split(KEY), (2, 2)), "jax.vmap over them"),
    "dtype": (lambda: initializer()(KEY, (2, 2), jnp.int32), "int32"),
    "no dtype": (lambda: initializer()(KEY, (2, 2), "float31"), "unknown dtype"),
    "one axis": (lambda: initializer()(KEY, (3,)), "no fans"),
    "compiled, one axis": (lambda: jax.jit(lambda key: initializer()(key, (3,)))(KEY), "no fans"),
    "scheme": (lambda: initializer("he_norml"), "Did you mean 'he_normal'"),
    "option": (lambda: initializer(gain=1.0), "no option 'gain'"),
    "axis": (lambda: initializer(in_axis=5)(KEY, (2, 2)), "name each axis once"),
    "one axis twice": (lambda: initializer(batch_axis=0)(KEY, (2, 2)), "name each axis once"),
    "groups": (lambda: initializer(groups=3)(KEY, (3, 2, 4)), "3 groups do not divide"),
}


@pytest.mark.parametrize(("call", "text"), BAD.values(), ids=BAD)
def test_what_cannot_be_drawn_is_refused_in_one_line(call, text: str) -> None:
    with pytest.raises(initlab.InitlabError, match=text) as caught:
        call()
    assert "\n" not in str(caught.value)
