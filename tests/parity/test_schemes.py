"""With a dialect, a scheme's law is the framework's own: same fans, same cut, same std, same distribution."""

from __future__ import annotations

import os
from collections.abc import Callable

import numpy as np
import pytest
from scipy import stats

from initlab.core.facts.spec import ParamSpec
from initlab.schemes import scheme

os.environ.setdefault("KERAS_BACKEND", "jax")
torch = pytest.importorskip("torch", reason="PyTorch is not installed")
keras = pytest.importorskip("keras", reason="Keras is not installed")
jax = pytest.importorskip("jax", reason="JAX is not installed")

DENSE = ParamSpec(shape=(160, 240))
CONV = ParamSpec(shape=(64, 24, 3, 3), role="conv")
GROUPED = ParamSpec(shape=(96, 12, 3, 3), role="conv", groups=8)
TRANSPOSED = ParamSpec(shape=(48, 64, 3, 3), role="conv_transpose")


def torch_sample(p: ParamSpec, fill: Callable[..., object], **options: object) -> np.ndarray:
    """What torch.nn.init writes into the layer's own weight."""
    layer: torch.nn.Module
    if p.role == "dense":
        layer = torch.nn.Linear(p.shape[1], p.shape[0])
    elif p.role == "conv":
        layer = torch.nn.Conv2d(p.shape[1] * p.groups, p.shape[0], 3, groups=p.groups)
    else:
        layer = torch.nn.ConvTranspose2d(p.shape[1], p.shape[0], 3)
    torch.manual_seed(0)
    with torch.no_grad():
        fill(layer.weight, **options)
    return layer.weight.detach().numpy().ravel().astype(float)


def check(sample: np.ndarray, p: ParamSpec, law: object) -> None:
    """Kolmogorov-Smirnov at one in a million, std within five standard errors, bounds never passed."""
    assert stats.kstest(sample, lambda x: law.cdf(x, p.shape)).pvalue > 1e-6
    kurtosis = np.mean((sample - sample.mean()) ** 4) / sample.var() ** 2
    assert abs(sample.std() / law.std(p.shape) - 1) < 5 * np.sqrt((kurtosis - 1) / (4 * sample.size))
    low, high = law.bounds(p.shape)
    assert low * (1 + 1e-6) - 1e-12 <= sample.min()
    assert sample.max() <= high * (1 + 1e-6) + 1e-12


TORCH = [
    ("kaiming_normal", torch.nn.init.kaiming_normal_, {}),
    ("kaiming_uniform", torch.nn.init.kaiming_uniform_, {}),
    ("kaiming_normal(mode=fan_out)", torch.nn.init.kaiming_normal_, {"mode": "fan_out"}),
    ("kaiming_uniform(negative_slope=0.2)", torch.nn.init.kaiming_uniform_, {"a": 0.2}),
    ("xavier_normal", torch.nn.init.xavier_normal_, {}),
    ("xavier_uniform(gain=1.5)", torch.nn.init.xavier_uniform_, {"gain": 1.5}),
    ("lecun_normal", torch.nn.init.kaiming_normal_, {"nonlinearity": "linear"}),
    ("torch_default", torch.nn.init.kaiming_uniform_, {"a": 5**0.5}),
    ("normal", torch.nn.init.normal_, {}),
    ("uniform", torch.nn.init.uniform_, {}),
    ("truncated_normal", torch.nn.init.trunc_normal_, {}),
    ("truncated_normal(std=1.5, low=-1.0, high=2.0)", torch.nn.init.trunc_normal_, {"std": 1.5, "a": -1.0, "b": 2.0}),
]


@pytest.mark.parametrize("p", [DENSE, CONV, GROUPED, TRANSPOSED], ids=["dense", "conv", "grouped", "transposed"])
@pytest.mark.parametrize(("call", "fill", "options"), TORCH, ids=[row[0] for row in TORCH])
def test_torch(p: ParamSpec, call: str, fill: Callable[..., object], options: dict[str, object]) -> None:
    check(torch_sample(p, fill, **options), p, scheme(call, dialect="torch")(p))


KERAS = [
    ("HeNormal", {}),
    ("HeUniform", {}),
    ("GlorotNormal", {}),
    ("GlorotUniform", {}),
    ("LecunNormal", {}),
    ("LecunUniform", {}),
    ("RandomNormal", {}),
    ("RandomUniform", {}),
    ("TruncatedNormal", {}),
    ("VarianceScaling", {}),
    ("VarianceScaling", {"scale": 2.0, "mode": "fan_out", "distribution": "uniform"}),
]


@pytest.mark.parametrize("p", [DENSE, CONV, GROUPED], ids=["dense", "conv", "grouped"])
@pytest.mark.parametrize(("name", "options"), KERAS)
def test_keras(p: ParamSpec, name: str, options: dict[str, object]) -> None:
    native = (*p.shape[2:], p.shape[1], p.shape[0])
    sample = np.asarray(getattr(keras.initializers, name)(seed=0, **options)(native), dtype=float).ravel()
    check(sample, p, scheme(name, dialect="keras", **options)(p))


def test_keras_depthwise_kernels_keep_their_own_fans() -> None:
    p = ParamSpec(shape=(512, 1, 3, 3), role="conv", groups=512)
    sample = np.asarray(keras.initializers.LecunNormal(seed=0)((3, 3, 512, 1)), dtype=float).ravel()
    check(sample, p, scheme("lecun_normal", dialect="keras")(p))


JAX = [
    "he_normal",
    "he_uniform",
    "glorot_normal",
    "glorot_uniform",
    "lecun_normal",
    "lecun_uniform",
    "normal",
    "uniform",
]


@pytest.mark.parametrize("p", [DENSE, CONV, GROUPED], ids=["dense", "conv", "grouped"])
@pytest.mark.parametrize("name", [*JAX, "truncated_normal"])
def test_jax(p: ParamSpec, name: str) -> None:
    native = (*p.shape[2:], p.shape[1], p.shape[0])
    initializer = getattr(jax.nn.initializers, name)
    built = initializer() if name not in ("normal", "uniform", "truncated_normal") else initializer(0.01)
    sample = np.asarray(built(jax.random.key(0), native), dtype=float).ravel()
    check(sample, p, scheme(name, dialect="jax")(p))


@pytest.mark.parametrize("shape", [(40, 60), (60, 40)])
def test_orthogonal_has_the_singular_values_of_torch_and_keras(shape: tuple[int, int]) -> None:
    from initlab.core.laws.draw import draw

    p = ParamSpec(shape=shape)
    ours = np.linalg.svd(draw(scheme("orthogonal(gain=1.5)")(p), shape, seed=0), compute_uv=False)
    theirs = torch.linalg.svdvals(torch.nn.init.orthogonal_(torch.empty(shape), gain=1.5)).numpy()
    np.testing.assert_allclose(ours, theirs, rtol=1e-5)


def test_sparse_zeroes_as_many_entries_of_a_column_as_torch() -> None:
    from initlab.core.laws.draw import draw

    p = ParamSpec(shape=(50, 30))
    ours = (draw(scheme("sparse(sparsity=0.33)", dialect="torch")(p), p.shape, seed=0) == 0).sum(axis=0)
    theirs = (torch.nn.init.sparse_(torch.empty(50, 30), sparsity=0.33).numpy() == 0).sum(axis=0)
    np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize("groups", [1, 4])
def test_dirac_is_torchs(groups: int) -> None:
    from initlab.core.laws.draw import draw

    p = ParamSpec(shape=(16, 16 // groups, 3, 4), role="conv", groups=groups)
    theirs = torch.nn.init.dirac_(torch.empty(p.shape), groups=groups).numpy()
    np.testing.assert_array_equal(draw(scheme("dirac")(p), p.shape, seed=0), theirs)


def test_torch_default_draws_the_input_weights_of_an_lstm_by_its_hidden_size() -> None:
    layer = torch.nn.LSTM(5, 64)
    p = ParamSpec(shape=(256, 5), blocks=(64,) * 4, layer_shape=(256, 64))
    check(layer.weight_ih_l0.detach().numpy().ravel().astype(float), p, scheme("torch_default")(p))
