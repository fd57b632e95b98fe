"""One pass of a batch through a Flax model: what is measured, what stays as it was, and what is refused."""

from __future__ import annotations

import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
from flax import nnx
from tests.frameworks.jax.flax_models import RNGS, Gpt, Residual, Statistics, chain, conv, linear, plain

import initlab
from initlab import ConvNet, Mlp
from initlab.core.errors import DataError, InitlabError, OptionError, ShapeError
from initlab.core.signals.readings import Reading
from initlab.core.signals.sums import sums_of
from initlab.frameworks.jax import zoo as flax_zoo
from initlab.frameworks.jax.adapter import ADAPTER
from initlab.frameworks.torch import zoo as torch_zoo
from initlab.frameworks.torch.adapter import ADAPTER as TORCH

ROWS = np.random.default_rng(0).standard_normal((16, 6)).astype(np.float32)
IMAGES = np.random.default_rng(0).standard_normal((16, 9, 9, 2)).astype(np.float32)
CLASSES = np.arange(16) % 3
ZEROS = nnx.initializers.zeros_init()
# Sums of float32 numbers in another order.
CLOSE = {"rel": 1e-4, "abs": 1e-6}

TWINS: dict[str, Mlp | ConvNet] = {
    "dense": Mlp((6, 12, 8, 3), activation="tanh"),
    "dense, layer norm, residual": Mlp((6, 8, 8, 3), norm="layer", residual=True),
    "conv": ConvNet((2, 8, 8), classes=3, strides=(2, 1), groups=(1, 4), activation="gelu"),
}


def places(reading: Reading) -> list[tuple[str, str, tuple[int, ...]]]:
    return [(place.kind, place.path, place.inputs) for place in reading.places]


@pytest.fixture(scope="module", params=TWINS)
def twins(request: pytest.FixtureRequest) -> tuple[Reading, Reading]:
    """What torch and Flax show of one architecture, one seed and one batch."""
    arch = TWINS[request.param]
    if isinstance(arch, Mlp):
        theirs, ours = torch_zoo.build_mlp(arch), flax_zoo.build_mlp(arch, kernel_init=ZEROS)
        x, given = ROWS, torch.from_numpy(ROWS)
    else:
        theirs, ours = torch_zoo.build_convnet(arch), flax_zoo.build_convnet(arch, kernel_init=ZEROS)
        x, given = IMAGES, torch.from_numpy(IMAGES.transpose(0, 3, 1, 2).copy())
    for model in (theirs, ours):
        initlab.initialize(model, "he_normal", seed=3)
    seen = TORCH.capture(theirs, given, targets=torch.from_numpy(CLASSES)), ADAPTER.capture(ours, x, targets=CLASSES)
    return seen[0].reading, seen[1].reading


def test_flax_has_the_places_of_torch(twins: tuple[Reading, Reading]) -> None:
    theirs, ours = twins
    assert places(ours) == places(theirs)
    assert [(place.f, place.facts) for place in ours.places] == [(place.f, place.facts) for place in theirs.places]


def test_flax_measures_what_torch_measures(twins: tuple[Reading, Reading]) -> None:
    theirs, ours = twins
    for at, sums in theirs.forward.items():
        for name in ("mean", "square", "square_error", "cosine", "rank", "saturated", "entropy"):
            assert getattr(ours.forward[at], name) == pytest.approx(getattr(sums, name), nan_ok=True, **CLOSE), name
        assert ours.forward[at].dead_units == sums.dead_units


def test_flax_has_the_gradients_of_torch(twins: tuple[Reading, Reading]) -> None:
    theirs, ours = twins
    assert ours.backward.keys() == theirs.backward.keys()
    assert [ours.backward[at].square for at in theirs.backward] == pytest.approx(
        [sums.square for sums in theirs.backward.values()], rel=1e-4
    )
    own = {name.replace("kernel", "weight").replace("scale", "weight"): g.square for name, g in ours.gradients.items()}
    assert own == pytest.approx({name: g.square for name, g in theirs.gradients.items()}, rel=1e-3, abs=1e-12)
    assert (ours.loss, ours.loss_error) == pytest.approx((theirs.loss, theirs.loss_error), rel=1e-5)


def test_a_value_is_summed_as_by_numpy() -> None:
    model = chain(linear(6, 8), nnx.relu, linear(8, 3))
    reading = ADAPTER.capture(model, ROWS).reading
    z = ROWS @ np.asarray(model.layers[0].kernel[...]) + np.asarray(model.layers[0].bias[...])
    expected = sums_of(np.maximum(z, 0.0))
    found = next(reading.forward[i] for i, place in enumerate(reading.places) if place.kind == "activation")
    assert (found.square, found.mean, found.cosine) == pytest.approx(
        (expected.square, expected.mean, expected.cosine), rel=1e-5
    )


def test_the_gradient_of_a_weighted_sum_is_that_of_the_loss() -> None:
    # The mean over 16 * 3 squares of z - y has the gradient (z - y) / 24.
    model = linear(6, 3)
    y = np.zeros((16, 3), np.float32)
    reading = ADAPTER.capture(model, ROWS, targets=y).reading
    z = np.asarray(model(ROWS), np.float64)
    assert reading.loss == pytest.approx(float((z**2).mean()), rel=1e-5)
    assert reading.backward[1].square == pytest.approx(float((z**2).mean()) / 24**2, rel=1e-5)
    assert reading.gradients["kernel"].square == pytest.approx(float(((ROWS.T @ z / 24) ** 2).mean()), rel=1e-4)


def test_the_places_of_a_transformer_are_named_by_its_modules() -> None:
    tokens = np.random.default_rng(0).integers(0, 11, (4, 5))
    reading = ADAPTER.capture(Gpt(dropout=0.5, blocks=1), tokens, targets=tokens).reading
    by_path = {place.path: place for place in reading.places}
    assert by_path["wte"].facts == {"table": 1.0}
    assert by_path["blocks.0.ln1"].facts == {"norm": "layer", "eps": 1e-6}
    assert by_path["blocks.0.dropout"].facts == {"rate": 0.5}
    assert by_path["blocks.0:gelu_tanh"].f == "gelu_tanh"
    assert by_path["wte#2"].params == ("wte.embedding",)
    at = next(i for i, place in enumerate(reading.places) if place.kind == "softmax")
    assert 0.0 < reading.forward[at].entropy <= 1.0
    assert reading.forward[at].rows == 4
    assert [place.path for place in reading.places if place.kind == "mix"] == ["blocks.0.attention:attention"]


def test_a_recurrent_layer_is_one_place_with_its_parameters() -> None:
    cell = nnx.SimpleCell(6, 5, kernel_init=plain, recurrent_kernel_init=plain, rngs=RNGS)
    reading = ADAPTER.capture(chain(nnx.RNN(cell, rngs=RNGS), linear(5, 3)), np.ones((4, 7, 6), np.float32)).reading
    assert places(reading)[1:] == [("unknown", "layers.0", (0,)), ("weighted", "layers.1", (1,))]
    assert "layers.0.cell.dense_h.kernel" in reading.places[1].params


def test_a_saturated_unit_is_counted_where_the_slope_is_flat() -> None:
    wide = chain(linear(6, 8, kernel_init=nnx.initializers.constant(50.0)), nnx.tanh, linear(8, 3))
    reading = ADAPTER.capture(wide, ROWS).reading
    at = next(i for i, place in enumerate(reading.places) if place.kind == "weighted")
    assert reading.forward[at].saturated > 0.9


def test_histograms_count_every_entry() -> None:
    reading = ADAPTER.capture(linear(6, 3), ROWS, histograms=True).reading
    assert [int(sums.counts.sum()) for sums in reading.forward.values()] == [16 * 6, 16 * 3]


def test_without_targets_random_numbers_are_followed_backwards() -> None:
    first, second = (ADAPTER.capture(linear(6, 3), ROWS).reading for _ in range(2))
    assert (first.loss_kind, math.isnan(first.loss)) == ("random", True)
    # The gradient by an output is one standard normal number: 48 of them have a mean square of 1 +- 5 sqrt(2 / 48).
    assert first.backward[1].square == pytest.approx(1.0, abs=5 * math.sqrt(2 / 48))
    assert first.backward[1].square == second.backward[1].square


def test_a_loss_of_ones_own_is_followed() -> None:
    reading = ADAPTER.capture(linear(6, 3), ROWS, targets=CLASSES, loss=lambda y, t: jnp.mean(y[:, 0] * t)).reading
    assert reading.loss_kind == "given"
    assert math.isfinite(reading.loss)


def test_the_logits_among_several_outputs_are_followed() -> None:
    class Several(Residual):
        def __call__(self, x: jax.Array) -> Any:
            return {"hidden": x, "logits": super().__call__(x), "name": "net"}

    assert ADAPTER.capture(Several(), ROWS, targets=CLASSES).reading.loss_kind == "cross_entropy"


def test_inputs_by_name_are_taken() -> None:
    class Two(nnx.Module):
        def __init__(self) -> None:
            self.a = linear(6, 3)

        def __call__(self, x: jax.Array, *, scale: float, y: jax.Array) -> jax.Array:
            return self.a(x * scale + y)

    reading = ADAPTER.capture(Two(), {"x": ROWS, "scale": 2.0, "y": ROWS}).reading
    assert [place.kind for place in reading.places] == ["input", "input", "scale", "sum", "weighted"]


# Left alone


def test_a_pass_leaves_the_model_as_it_is() -> None:
    model = Statistics()
    before = ADAPTER.state(model)
    ADAPTER.capture(model, ROWS[:, :4])
    after = ADAPTER.state(model)
    assert all(np.array_equal(before[name], after[name]) for name in before)


def test_a_pass_leaves_the_modes_as_they_are() -> None:
    model = Statistics()
    model.eval()
    reading = ADAPTER.capture(model, ROWS[:, :4]).reading
    assert model.drop.deterministic is True
    assert model.norm.use_running_average is True
    assert {place.kind for place in reading.places} >= {"norm", "dropout"}  # measured in training mode


def test_a_part_in_its_own_mode_keeps_it() -> None:
    model = Statistics()
    model.norm.use_running_average = True
    unknown = next(place for place in ADAPTER.capture(model, ROWS[:, :4]).reading.places if place.path == "norm")
    assert unknown.facts == {"name": "batch_norm with running statistics"}


def test_two_passes_are_alike() -> None:
    model = Statistics()
    first, second = (ADAPTER.capture(model, ROWS[:, :4]).reading for _ in range(2))
    assert [s.square for s in first.forward.values()] == [s.square for s in second.forward.values()]


# The verbs above


def test_a_profile_holds_theory_beside_measurement() -> None:
    model = chain(linear(6, 64), nnx.relu, linear(64, 64), nnx.relu, linear(64, 3))
    initlab.initialize(model, "he_normal", seed=1)
    profile = initlab.probe(model, ROWS, CLASSES)
    assert profile.evidence.framework == "jax"
    assert [(row.path, row.f) for row in profile.rows] == [("layers.0", "relu"), ("layers.2", "relu"), ("layers.4", "")]


def test_a_net_that_dies_is_found() -> None:
    layers: list[Any] = []
    for _ in range(12):
        layers += [linear(32, 32, kernel_init=nnx.initializers.constant(0.0)), nnx.relu]
    model = chain(linear(6, 32), nnx.relu, *layers, linear(32, 3))
    initlab.initialize(model, "normal(std=0.01)", seed=1)
    with pytest.raises(InitlabError):
        initlab.probe(model, ROWS, CLASSES).assert_healthy()


# Refused


class Stopped(Residual):
    def __call__(self, x: jax.Array) -> jax.Array:
        return jax.lax.stop_gradient(super().__call__(x))


class Asking(Residual):
    def __call__(self, x: jax.Array) -> jax.Array:
        return super().__call__(x) if x.sum() > 0 else x


REFUSED: dict[str, tuple[Any, Any, dict[str, Any], type[InitlabError], str]] = {
    "shape": (lambda: linear(6, 3), ROWS[:, :5], {}, ShapeError, "the model does not take the batch"),
    "NaN": (lambda: linear(6, 3), ROWS * np.nan, {}, DataError, "96 numbers that are NaN or infinite"),
    "one row": (Statistics, ROWS[:1, :4], {}, ShapeError, "needs more than one value a channel"),
    "stopped": (Stopped, ROWS, {}, OptionError, "no gradient passes the model's output"),
    "asking": (Asking, ROWS, {}, InitlabError, "asks for the numbers in an array"),
    "targets": (lambda: linear(6, 3), ROWS, {"targets": np.arange(5)}, ShapeError, "do not fit an output"),
    "class": (lambda: linear(6, 3), ROWS, {"targets": np.full(16, 3)}, ShapeError, "classes from 0 and below 3"),
    "loss": (lambda: linear(6, 3), ROWS, {"loss": lambda y: y}, OptionError, "the loss is no scalar"),
    "numpy loss": (lambda: linear(6, 3), ROWS, {"loss": lambda y: np.asarray(y).mean()}, OptionError, "jax.numpy"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_probed_is_refused_in_one_line(name: str) -> None:
    make, batch, options, kind, text = REFUSED[name]
    with pytest.raises(kind, match=text) as caught:
        ADAPTER.capture(make(), batch, **options)
    assert "\n" not in str(caught.value)


def test_a_convolution_tells_its_geometry() -> None:
    reading = ADAPTER.capture(chain(conv(2, 4, (3, 3), strides=2, feature_group_count=2)), IMAGES).reading
    assert reading.places[1].facts == {"stride": (2, 2), "padding": (1, 1), "dilation": (1, 1), "groups": 2}
