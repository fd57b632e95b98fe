"""What ``probe`` refuses, in every framework: one line with the fix, and the model and the generators as they were."""

from __future__ import annotations

import os
import random
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from initlab.api.probing import probe
from initlab.core.errors import InitlabError
from initlab.core.facts.arch import Mlp

os.environ.setdefault("KERAS_BACKEND", "jax")
keras = pytest.importorskip("keras")

X = np.random.default_rng(0).normal(size=(8, 6)).astype(np.float32)
HOLES = np.where(np.arange(48).reshape(8, 6) == 5, np.nan, X).astype(np.float32)


def torch_net() -> nn.Module:
    """In the middle of training: gradients and running statistics of its own, a part in evaluation mode."""
    net = nn.Sequential(nn.Linear(6, 12), nn.BatchNorm1d(12), nn.ReLU(), nn.Dropout(0.5), nn.Linear(12, 3))
    net(torch.from_numpy(X)).sum().backward()
    net[0].bias.grad = None
    net[3].eval()
    return net


def keras_net() -> Any:
    layers = keras.layers
    net = keras.Sequential(
        [layers.Input((6,)), layers.Dense(12), layers.BatchNormalization(), layers.ReLU(), layers.Dropout(0.5),
         layers.Dense(3)]
    )  # fmt: skip
    net(X, training=True)
    return net


def state(model: Any) -> tuple[object, ...]:
    """Parameters, gradients, buffers, mode and generators, bit for bit."""
    generators = (
        torch.get_rng_state().numpy().tobytes(),
        random.getstate(),
        np.random.get_state()[1].tobytes(),  # noqa: NPY002
    )
    if not isinstance(model, nn.Module):
        return ([np.asarray(v.value).tobytes() for v in model.variables], [v.trainable for v in model.variables],
                generators)  # fmt: skip
    return (
        [value.detach().numpy().tobytes() for value in (*model.parameters(), *model.buffers())],
        [None if p.grad is None else p.grad.numpy().tobytes() for p in model.parameters()],
        [(p.requires_grad, list(p._backward_hooks or ())) for p in model.parameters()],
        [module.training for module in model.modules()],
        generators,
    )


def not_trained(model: Any) -> Any:
    if isinstance(model, nn.Module):
        return model.requires_grad_(False)
    model.trainable = False
    return model


BAD: dict[str, tuple[Callable[[Any], Any], Any, dict[str, Any], str]] = {
    "a wrong shape": (lambda m: m, X[:, :5], {}, "does not take the batch|shape"),
    "a batch that is no array": (lambda m: m, "digits", {}, "batch|numbers"),
    "NaN": (lambda m: m, HOLES, {}, "1 number that is NaN or infinite"),
    "infinity": (lambda m: m, np.full_like(X, np.inf), {}, "48 numbers that are NaN or infinite"),
    "no parameter to train": (not_trained, X, {}, "all are frozen"),
    "a loss of many numbers": (lambda m: m, X, {"loss": lambda out: out}, "the loss is no scalar.*return its mean"),
    "a loss that is no tensor": (lambda m: m, X, {"loss": lambda out: "low"}, "the loss is no scalar"),
    "targets of another batch": (lambda m: m, X, {"targets": np.zeros(5, np.int64)}, "targets of shape"),
    "a class too many": (lambda m: m, X, {"targets": np.full(8, 3)}, "below 3"),
}


@pytest.mark.parametrize("build", [torch_net, keras_net], ids=["torch", "keras"])
@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_one_line_with_the_fix_and_leaves_all_as_it_was(case: str, build: Callable[[], Any]) -> None:
    spoil, batch, options, said = BAD[case]
    model = spoil(build())
    given = torch.from_numpy(batch) if isinstance(model, nn.Module) and isinstance(batch, np.ndarray) else batch
    before = state(model)
    with pytest.raises(InitlabError, match=said) as caught:
        probe(model, given, **options)
    assert state(model) == before
    assert "\n" not in str(caught.value)
    assert caught.value.fix


def test_a_batch_of_one_before_a_batch_norm_is_refused() -> None:
    model = torch_net()
    before = state(model)
    with pytest.raises(InitlabError, match=r"more than one value a channel \(batch\): give two samples or more"):
        probe(model, torch.from_numpy(X[:1]))
    assert state(model) == before


@pytest.mark.parametrize(
    ("model", "said"),
    [
        ("net", "str is not a model that initlab knows: give a torch.nn.Module, a keras.Model"),
        (None, "NoneType is not a model"),
        (nn.Linear, "Linear is a class, not a model: give the model that it makes"),
        (Mlp((4, 8, 3)), "a Mlp holds no weights: build it in a framework"),
        (nn.ReLU(), "ReLU has no parameters"),
    ],
    ids=["text", "nothing", "class", "architecture", "no parameters"],
)
def test_what_is_no_model_is_refused_with_the_fix(model: object, said: str) -> None:
    with pytest.raises(InitlabError, match=said):
        probe(model, torch.ones(2, 2))


@pytest.mark.parametrize("build", [torch_net, keras_net], ids=["torch", "keras"])
def test_a_probe_that_goes_well_leaves_all_as_it_was_too(build: Callable[[], Any]) -> None:
    model = build()
    before = state(model)
    probe(model, torch.from_numpy(X) if isinstance(model, nn.Module) else X, np.arange(8) % 3, histograms=True)
    assert state(model) == before


def test_a_watch_of_a_keras_model_without_weights_says_what_to_do() -> None:
    from initlab.api.probing import watch

    with pytest.raises(InitlabError, match="not built"), watch(keras.Sequential([keras.layers.Dense(3)])):
        pass


@pytest.mark.parametrize("build", [torch_net, keras_net])
def test_a_batch_without_samples_is_refused(build: Callable[[], Any]) -> None:
    with pytest.raises(InitlabError, match=r"give two samples or more|give a batch|does not take the batch") as caught:
        probe(build(), X[:0])
    assert "\n" not in str(caught.value)
