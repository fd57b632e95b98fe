"""Weights that a model computes from others: what it uses is what was drawn, and the same draw as of the bare model."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

os.environ.setdefault("KERAS_BACKEND", "jax")

import jax.numpy as jnp
import keras
import numpy as np
import pytest
import torch
from flax import nnx
from torch import nn
from torch.nn.utils import parametrizations, parametrize

import initlab
from initlab.core.errors import OptionError
from initlab.core.laws.singular import largest_singular

pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning")  # torch's own, of weight norm by hooks
Wrap = Callable[[nn.Module], nn.Module]


class Halves(nn.Module):
    """Of one part, of another kind than torch's."""

    def forward(self, half: torch.Tensor) -> torch.Tensor:
        return 2.0 * half

    def right_inverse(self, weight: torch.Tensor) -> torch.Tensor:
        return 0.5 * weight


class Signed(nn.Module):
    """Of two parts, of which neither is the weight."""

    def forward(self, size: torch.Tensor, sign: torch.Tensor) -> torch.Tensor:
        return size.exp().squeeze(-1) * sign.squeeze(-1)

    def right_inverse(self, weight: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return weight.abs().log().unsqueeze(-1), weight.sign().unsqueeze(-1)


class Wrong(Halves):
    def right_inverse(self, weight: torch.Tensor) -> torch.Tensor:
        return weight


class Positive(nn.Module):
    """Without an inverse."""

    def forward(self, weight: torch.Tensor) -> torch.Tensor:
        return weight.exp()


def by(kind: type[nn.Module], *more: type[nn.Module]) -> Wrap:
    def wrap(layer: nn.Module) -> nn.Module:
        for one in (kind, *more):
            parametrize.register_parametrization(layer, "weight", one())
        return layer

    return wrap


EXACT: dict[str, Wrap] = {
    "weight norm": parametrizations.weight_norm,
    "weight norm by columns": lambda layer: parametrizations.weight_norm(layer, dim=1),
    "weight norm of all": lambda layer: parametrizations.weight_norm(layer, dim=None),
    "weight norm by a hook": nn.utils.weight_norm,
    "the hook by columns": lambda layer: nn.utils.weight_norm(layer, dim=1),
    "halves": by(Halves),
    "halves of halves": by(Halves, Halves),
    "signs": by(Signed),
}


class Causal(nn.Module):
    """Bai et al. 2018, arXiv:1803.01271: two dilated causal convolutions beside a skip."""

    def __init__(self, inputs: int, width: int, dilation: int, wrap: Wrap) -> None:
        super().__init__()
        self.pad = 2 * dilation
        self.first = wrap(nn.Conv1d(inputs, width, 3, padding=self.pad, dilation=dilation))
        self.second = wrap(nn.Conv1d(width, width, 3, padding=self.pad, dilation=dilation))
        self.body = nn.Sequential(self.first, nn.ReLU(), self.second, nn.ReLU())  # under another name, too
        self.down = nn.Conv1d(inputs, width, 1) if inputs != width else nn.Identity()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        h = torch.relu(self.first(x)[..., : -self.pad])
        return torch.relu(torch.relu(self.second(h)[..., : -self.pad]) + self.down(x))


def tcn(wrap: Wrap) -> nn.Module:
    torch.manual_seed(1)
    blocks = [Causal(3 if n == 0 else 24, 24, 2**n, wrap) for n in range(3)]
    return nn.Sequential(*blocks, nn.AdaptiveAvgPool1d(1), nn.Flatten(), nn.Linear(24, 5))


def bare(layer: nn.Module) -> nn.Module:
    return layer


X = torch.from_numpy(np.random.default_rng(3).normal(size=(32, 3, 20)).astype(np.float32))


@pytest.mark.parametrize(
    ("name", "is_traced"), [*((name, False) for name in EXACT), ("weight norm", True), ("weight norm by a hook", True)]
)
def test_the_effective_weight_is_the_draw_of_the_bare_model(name: str, is_traced: bool) -> None:
    example = X if is_traced else None
    plain, net = tcn(bare), tcn(EXACT[name])
    state = torch.get_rng_state()
    for one in (plain, net):
        initlab.initialize(one, "he_normal", seed=7, example=example)
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.allclose(net(X), plain(X), rtol=1e-4, atol=1e-5)
    weight, drawn = net[1].first.weight.detach(), plain[1].first.weight.detach()
    assert float((weight - drawn).abs().max()) <= 4e-7 * float(drawn.abs().max())
    plan, wanted = (initlab.plan(one, "he_normal", example=example) for one in (net, plain))
    assert {row.param.path: (row.param.native, row.std) for row in plan} == {
        row.param.path: (row.param.native, row.std) for row in wanted
    }
    assert plan.account.kept == 0.0
    assert initlab.audit(net, "he_normal", seed=7, example=example).ok


def test_an_audit_finds_a_weight_whose_length_was_changed() -> None:
    net = tcn(parametrizations.weight_norm)
    initlab.initialize(net, "he_normal", seed=7, example=X)
    with torch.no_grad():
        net[1].first.parametrizations.weight.original0.mul_(1.5)
    wrong = [row.native for row in initlab.audit(net, "he_normal", example=X).entries if row.verdict == "wrong"]
    assert wrong == ["1.first.weight"]


@pytest.mark.parametrize("wrap", [parametrizations.weight_norm, nn.utils.weight_norm], ids=["parametrised", "hook"])
def test_a_probe_sees_the_layers_of_the_bare_model(wrap: Wrap) -> None:
    nets = tcn(bare), tcn(wrap)
    for net in nets:
        initlab.initialize(net, "auto", seed=7, example=X)
    plain, profile = (initlab.probe(net, X, torch.arange(32) % 5) for net in nets)
    assert profile.diagnose().healthy
    assert [row.path for row in profile.rows] == [row.path for row in plain.rows]
    for row, other in zip(profile.rows, plain.rows, strict=True):
        for seen, wanted in ((row.signal, other.signal), (row.gradient, other.gradient)):
            assert seen.measured == pytest.approx(wanted.measured, rel=1e-3, nan_ok=True)
            assert (seen.predicted or 0.0) == pytest.approx(wanted.predicted or 0.0, rel=1e-3)
        assert row.weight_std == pytest.approx(other.weight_std, rel=1e-6)


@pytest.mark.parametrize("wrap", [by(Wrong), by(Positive), parametrizations.orthogonal], ids=["wrong", "none", "other"])
def test_what_cannot_be_written_is_refused_by_name_and_nothing_is_written(wrap: Wrap) -> None:
    torch.manual_seed(1)
    net = nn.Sequential(nn.Linear(6, 6), nn.ReLU(), wrap(nn.Linear(6, 6)), nn.ReLU(), wrap(nn.Linear(6, 6)))
    before = {name: value.clone() for name, value in net.state_dict().items()}
    with pytest.raises(OptionError, match=r"cannot make .* \(2\.weight\): .*exclude"):
        initlab.initialize(net, "he_normal", seed=7)
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())
    initlab.initialize(net, "he_normal", seed=7, exclude=["2.weight", "4.weight"])


@pytest.mark.parametrize("shape", [(6, 6), (4, 7), (7, 4)])
@pytest.mark.parametrize("how", ["matrix_exp", "cayley", "householder"])
@pytest.mark.parametrize("trivial", [True, False])
def test_an_orthogonal_parametrisation_takes_an_orthogonal_draw(
    shape: tuple[int, int],
    how: str,
    trivial: bool,
) -> None:
    def wrapped(layer: nn.Linear) -> nn.Module:
        return parametrizations.orthogonal(layer, orthogonal_map=how, use_trivialization=trivial)

    net, plain = wrapped(nn.Linear(*shape)), nn.Linear(*shape)
    if how != "householder" and not trivial:
        with pytest.raises(OptionError, match=r"Orthogonal, which makes this weight, cannot .*weight"):
            initlab.initialize(net, "orthogonal", seed=7)
        return
    state = torch.get_rng_state()
    for one in (net, plain):
        initlab.initialize(one, "orthogonal", seed=7)
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.allclose(net.weight, plain.weight, atol=3e-6)


def test_a_file_of_the_parts_is_a_file_of_the_weight(tmp_path) -> None:
    net, other = tcn(parametrizations.weight_norm), tcn(parametrizations.weight_norm)
    initlab.initialize(net, "he_normal", seed=7, example=X)
    from initlab.api.planning import plan_around

    arrays = {name: value.numpy() for name, value in net.state_dict().items()}
    assert plan_around(other, arrays, "a file", example=X).account.kept == 1.0
    assert torch.equal(other(X), net(X))


SPECTRAL = {"parametrised": parametrizations.spectral_norm, "hook": nn.utils.spectral_norm}


@pytest.mark.parametrize("wrap", SPECTRAL.values(), ids=SPECTRAL)
@pytest.mark.parametrize(("scheme", "effective"), [("he_normal", 1 / (40**0.5 + 270**0.5)), ("orthogonal", 270**-0.5)])
def test_a_spectral_norm_divides_the_draw_by_its_own_largest_singular_value(
    wrap: Wrap, scheme: str, effective: float
) -> None:
    torch.manual_seed(1)
    net, plain = nn.Sequential(wrap(nn.Conv2d(30, 40, 3)), nn.ReLU(), nn.Flatten()), nn.Conv2d(30, 40, 3)
    for one in (net, nn.Sequential(plain)):
        initlab.initialize(one, scheme, seed=7)
    x = torch.randn(4, 30, 5, 5)
    net.eval()(x)
    size = float(torch.linalg.matrix_norm(plain.weight.detach().flatten(1), 2))
    assert torch.allclose(net[0].weight, plain.weight / size, rtol=1e-5, atol=1e-8)
    row = initlab.plan(net, scheme)["0.weight"]
    assert row.std == pytest.approx(effective, rel=1e-6)
    assert row.std == pytest.approx(float(net[0].weight.detach().std()), rel=0.05)
    assert initlab.audit(net, scheme, seed=7).ok
    seen = initlab.probe(net, x).rows[0]
    assert seen.weight_std == pytest.approx(float(net[0].weight.detach().square().mean().sqrt()), rel=1e-4)


def test_a_spectral_norm_without_memory_gets_weight_and_vectors() -> None:
    with torch.device("meta"):
        net = nn.Sequential(
            parametrizations.spectral_norm(nn.Linear(9, 7)), parametrizations.weight_norm(nn.Linear(7, 5))
        )
    plain = nn.Sequential(nn.Linear(9, 7), nn.Linear(7, 5))
    made = initlab.materialize(net, "he_normal", seed=7).eval()
    initlab.initialize(plain, "he_normal", seed=7)
    size = float(torch.linalg.matrix_norm(plain[0].weight.detach(), 2))
    assert torch.allclose(made[0].weight, plain[0].weight / size, rtol=1e-5)
    assert torch.allclose(made[1].weight, plain[1].weight, rtol=1e-5)


@pytest.mark.parametrize("shape", [(40, 70), (70, 40), (1, 9), (300, 200)])
def test_the_largest_singular_value_is_that_of_lapack(shape: tuple[int, int]) -> None:
    matrix = np.random.default_rng(3).normal(size=shape)
    found = largest_singular(matrix)
    assert found.value == pytest.approx(np.linalg.norm(matrix, 2), rel=1e-6)
    assert np.allclose(matrix @ found.right, found.value * found.left, atol=1e-3 * found.value)
    assert largest_singular(0.0 * matrix).value == 0.0


ROWS = np.random.default_rng(3).normal(size=(16, 9)).astype(np.float32)
LAYERS: dict[str, Callable[[nnx.Rngs], nnx.Module]] = {
    "dense": lambda rngs: nnx.Linear(9, 7, rngs=rngs),
    "conv": lambda rngs: nnx.Conv(9, 7, (1,), rngs=rngs),
}


def numbers(model: Any, path: str, example: np.ndarray) -> np.ndarray:
    bound = initlab.plan(model, example=example)
    return np.asarray(bound.adapter.read(model, next(p.param for p in bound if p.param.native == path)))


@pytest.mark.parametrize("axes", [-1, None, (0, 1)])
@pytest.mark.parametrize("kind", LAYERS)
def test_a_weight_norm_of_flax_computes_the_draw(kind: str, axes: Any) -> None:
    model = nnx.WeightNorm(LAYERS[kind](nnx.Rngs(1)), feature_axes=axes, rngs=nnx.Rngs(0))
    initlab.initialize(model, "he_normal", seed=7, example=ROWS[None])
    drawn, x = model.layer_instance.kernel.get_value(), jnp.asarray(ROWS[None])
    assert np.asarray(drawn).std() == pytest.approx((2 / 9) ** 0.5, rel=0.25)
    assert initlab.audit(model, "he_normal", seed=7, example=ROWS[None]).ok
    model(x)  # which writes what it computes over the kernel
    assert np.allclose(model.layer_instance.kernel.get_value(), drawn, rtol=2e-6)
    model.scales = {path: 1.5 * scale for path, scale in model.scales.items()}
    assert np.allclose(
        numbers(model, "layer_instance.kernel", ROWS[None]).std(), 1.5 * np.asarray(drawn).std(), rtol=1e-5
    )
    initlab.probe(model, ROWS[None])


def test_a_weight_norm_of_flax_without_a_scale_is_refused_by_name_and_nothing_is_written() -> None:
    model = nnx.WeightNorm(nnx.Linear(9, 7, rngs=nnx.Rngs(1)), use_scale=False, rngs=nnx.Rngs(0))
    before = np.array(model.layer_instance.kernel.get_value())
    with pytest.raises(OptionError, match=r"WeightNorm, .*\(layer_instance\.kernel\): .*exclude"):
        initlab.initialize(model, "he_normal", seed=7, example=ROWS)
    assert np.array_equal(model.layer_instance.kernel.get_value(), before)


def flax_spectral() -> tuple[Any, str, Callable[[Any], np.ndarray]]:
    model = nnx.SpectralNorm(nnx.Linear(9, 7, rngs=nnx.Rngs(1)), rngs=nnx.Rngs(0))
    model(jnp.asarray(ROWS))

    def used(one: Any) -> np.ndarray:
        one(jnp.asarray(ROWS))
        return np.asarray(one.layer_instance.kernel.get_value())

    return model, "layer_instance.kernel", used


def keras_spectral() -> tuple[Any, str, Callable[[Any], np.ndarray]]:
    layer = keras.layers.SpectralNormalization(keras.layers.Dense(7, name="inner"), name="outer")
    model = keras.Sequential([keras.Input((9,)), layer], name="net")

    def used(one: Any) -> np.ndarray:
        one(ROWS, training=True)
        return np.asarray(layer.layer.kernel)

    return model, "net/outer/inner/kernel", used


@pytest.mark.parametrize("build", [flax_spectral, keras_spectral])
def test_a_spectral_norm_starts_at_one_in_the_first_step(build: Callable[[], Any]) -> None:
    model, name, used = build()
    initlab.initialize(model, "he_normal", seed=7, example=ROWS)
    row = initlab.plan(model, "he_normal", example=ROWS)[name]
    assert initlab.audit(model, "he_normal", seed=7, example=ROWS).ok
    seen = initlab.probe(model, ROWS).rows[0].weight_std
    drawn = numbers(model, name, ROWS).T
    kernel = used(model)
    assert np.linalg.norm(kernel, 2) == pytest.approx(1.0, abs=1e-5)
    assert np.allclose(kernel, drawn / np.linalg.norm(drawn, 2), rtol=1e-4, atol=1e-6)
    assert row.std == pytest.approx(1 / (7**0.5 + 9**0.5))
    assert seen == pytest.approx(kernel.std(), rel=0.05)
