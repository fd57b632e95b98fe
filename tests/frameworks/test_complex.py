"""Complex weights: E|w|^2 is that of the law, the parts are independent and each of a stream of its own."""

from __future__ import annotations

import math
from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest
import torch
from flax import nnx
from torch import nn

import initlab
import initlab.torch
from initlab.core.draws.streams import stream
from initlab.core.errors import ShapeError
from initlab.core.laws import Complex, Constant, Normal, Orthogonal, Sparse, Uniform
from initlab.core.laws.complex import complex_law
from initlab.frameworks import adapter_for


def torch_net() -> nn.Module:
    return nn.Sequential(nn.Linear(96, 160, dtype=torch.complex64), nn.Linear(160, 40, dtype=torch.complex128))


def flax_net() -> nnx.Module:
    rngs = nnx.Rngs(3)
    kinds = {"param_dtype": jnp.complex64, "kernel_init": nnx.initializers.zeros_init()}
    return nnx.Sequential(nnx.Linear(96, 160, rngs=rngs, **kinds), nnx.Linear(160, 40, rngs=rngs, **kinds))


NETS = [pytest.param(torch_net, id="torch"), pytest.param(flax_net, id="flax")]


def held(model: Any) -> dict[str, np.ndarray]:
    return {p.path: adapter_for(model).read(model, p) for p in adapter_for(model).describe(model).params}


@pytest.mark.parametrize("build", NETS)
@pytest.mark.parametrize(
    ("scheme", "square"),
    [
        ("he_normal", 2 / 96),
        ("glorot_uniform", 2 / 256),
        ("lecun_normal", 1 / 96),
        ("truncated_normal(std=0.3)", 0.09 * 0.7737412),  # cut at 2 sigma: 1 - 4 phi(2) / (2 Phi(2) - 1) = 0.7737
        ("uniform(low=-0.3, high=0.3)", 0.03),
    ],
)
def test_the_mean_square_of_a_complex_weight_is_that_of_the_law(build: Any, scheme: str, square: float) -> None:
    model = initlab.initialize(build(), scheme, seed=7)
    row, w = initlab.plan(model, scheme)["0/weight"], held(model)["0/weight"]
    assert w.dtype == np.complex64
    assert row.std == pytest.approx(math.sqrt(square), rel=1e-6)
    assert np.mean(np.abs(w) ** 2) == pytest.approx(square, rel=5 / math.sqrt(w.size))
    assert np.mean(w.real**2) == pytest.approx(square / 2, rel=5 * math.sqrt(2 / w.size))
    assert abs(np.mean(w.real * w.imag)) < 5 * square / 2 / math.sqrt(w.size)
    assert not held(model)["0/bias"].any()
    assert initlab.audit(model, scheme).ok
    assert initlab.audit(model, scheme, seed=7).ok
    assert not initlab.audit(model, scheme, seed=8).ok


def test_every_framework_draws_the_same_complex_bits_from_a_stream_for_each_part() -> None:
    ours, theirs = (held(initlab.initialize(build(), "he_normal", seed=7)) for build in (torch_net, flax_net))
    assert np.array_equal(ours["0/weight"], theirs["0/weight"])
    law, parts = Normal(math.sqrt(2 / 96)), []
    for name in ("real", "imaginary"):
        parts.append(law.draw((160, 96), stream(7, "0/weight", purpose=f"weights#{name}")) / math.sqrt(2))
    assert np.array_equal(ours["0/weight"], (parts[0] + 1j * parts[1]).astype(np.complex64))


@pytest.mark.parametrize("build", NETS)
def test_an_orthogonal_scheme_draws_unitary_matrices(build: Any) -> None:
    w = held(initlab.initialize(build(), "orthogonal(gain=1.5)", seed=7))
    tall, wide = w["0/weight"].astype(np.complex128), w["1/weight"].astype(np.complex128)
    assert np.allclose(tall.conj().T @ tall, 2.25 * np.eye(96), atol=1e-5)
    assert np.allclose(wide @ wide.conj().T, 2.25 * np.eye(40), atol=1e-5)


def test_a_unitary_matrix_has_haars_law() -> None:
    """E|tr U|^2 = 1 and E|tr U|^4 = 2 (Diaconis and Shahshahani 1994); without the turned columns it is neither."""
    traces = np.array([np.trace(Complex(Orthogonal()).draw((5, 5), stream(n, "w"))) for n in range(500)])
    square = np.abs(traces) ** 2
    assert square.mean() == pytest.approx(1.0, abs=5 / math.sqrt(500))
    assert (square**2).mean() == pytest.approx(2.0, abs=5 * math.sqrt(20 / 500))
    assert abs(traces.mean()) < 5 / math.sqrt(500)


@pytest.mark.parametrize("build", NETS)
def test_a_wrong_complex_weight_is_found(build: Any) -> None:
    model = initlab.initialize(build(), "he_normal", seed=7)
    adapter = adapter_for(model)
    p = adapter.describe(model)["0/weight"]
    for factor in (0.5, 1j):  # i times a draw is a draw of the same law
        with adapter.holding(model, [p]):
            turned = {p.native: adapter.state(model)[p.native] * factor}
            adapter.load(model, turned)
            assert initlab.audit(model, "he_normal").ok == (factor == 1j)
            assert not initlab.audit(model, "he_normal", seed=7).ok
    assert initlab.audit(model, "he_normal", seed=7).ok


@pytest.mark.parametrize("law", [Uniform(0.0, 1.0), Sparse(0.5, 0.1), Normal(0.1, 0.2)])
def test_a_law_without_a_complex_form_is_refused(law: Any) -> None:
    with pytest.raises(ShapeError, match="no complex form"):
        complex_law(law)
    assert complex_law(Constant(2.0)) == Constant(2.0)


def test_a_complex_row_that_is_refused_names_its_parameter_and_writes_nothing() -> None:
    model, before = torch_net(), held(net := torch_net())
    with pytest.raises(ShapeError, match=r"no complex form \(0\.weight\)"):
        initlab.initialize(net, "sparse", seed=7)
    assert all(np.array_equal(one, before[path]) for path, one in held(net).items())
    assert initlab.initialize(model, "he_normal", seed=7) is model


def test_part_of_a_complex_draw_is_that_part_of_the_whole_and_one_tensor_is_drawn_alike() -> None:
    law = Complex(Normal(0.3))
    whole = law.draw((7, 5), stream(3, "w"), dtype="float32")
    assert np.array_equal(law.draw((7, 5), stream(3, "w"), dtype="float32", index=(slice(2, 4),)), whole[2:4])
    drawn = initlab.torch.init_(torch.empty(7, 5, dtype=torch.complex64), "normal(std=0.3)", seed=3, path="w")
    assert np.array_equal(drawn.numpy(), whole)


def test_a_probe_reads_the_squares_of_complex_weights() -> None:
    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.last = nn.Linear(96, 160, dtype=torch.complex64), nn.Linear(160, 3, dtype=torch.complex64)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            z = self.first(x)
            return self.last(torch.complex(z.real.relu(), z.imag.relu())).abs()

    model = initlab.initialize(Net(), {"*.weight": "normal(std=0.2)"}, seed=3)
    x = torch.randn(6, 96, dtype=torch.complex64, generator=torch.Generator().manual_seed(3))
    seen = initlab.probe(model, x).evidence.weights["first.weight"]
    assert seen.std == pytest.approx(0.2, rel=5 / math.sqrt(96 * 160))
