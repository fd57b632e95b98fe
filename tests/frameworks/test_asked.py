"""Only what was asked is written, and what is left alone is told: the same in PyTorch, Keras and Flax."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, cast

os.environ.setdefault("KERAS_BACKEND", "jax")

import jax.numpy as jnp
import keras
import numpy as np
import pytest
import torch
from flax import nnx
from torch import nn

import initlab
from initlab import BoundPlan
from initlab.core.errors import IncompleteError, IncompleteWarning, InitlabError
from initlab.frameworks import adapter_for

X = np.linspace(-1.0, 1.0, 12, dtype=np.float32).reshape(2, 6)
FRAMEWORKS = ("torch", "keras", "flax")


class TorchNet(nn.Module):
    def __init__(self, unused: int) -> None:
        super().__init__()
        self.a, self.norm, self.head = nn.Linear(6, 5), nn.LayerNorm(5), nn.Linear(5, 3)
        if unused:
            self.odd = nn.Parameter(torch.full((unused, 7), 5.0))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.norm(torch.relu(self.a(x))))


class Holder(keras.layers.Layer):  # type: ignore[misc]  # Keras is untyped
    def __init__(self, unused: int) -> None:
        super().__init__(name="holder")
        self.odd = self.add_weight(shape=(unused, 7), initializer=keras.initializers.Constant(5.0), name="odd")

    def call(self, x: Any) -> Any:
        return x


class FlaxNet(nnx.Module):
    def __init__(self, unused: int) -> None:
        rngs = nnx.Rngs(0)
        self.a, self.norm = nnx.Linear(6, 5, rngs=rngs), nnx.LayerNorm(5, rngs=rngs)
        self.head = nnx.Linear(5, 3, rngs=rngs)
        if unused:
            self.odd = nnx.Param(jnp.full((unused, 7), 5.0))

    def __call__(self, x: Any) -> Any:
        return self.head(self.norm(nnx.relu(self.a(x))))


def build(framework: str, unused: int = 0) -> Any:
    """A net of 35 + 10 + 18 = 63 numbers, and 7 of no known role for each unused row."""
    if framework == "torch":
        return TorchNet(unused)
    if framework == "flax":
        return FlaxNet(unused)
    layers: list[Any] = [keras.layers.Input((6,)), keras.layers.Dense(5, activation="relu", name="a")]
    layers += [keras.layers.LayerNormalization(name="norm"), *([Holder(unused)] if unused else [])]
    return keras.Sequential([*layers, keras.layers.Dense(3, name="head")])


def arrays(model: Any) -> dict[str, np.ndarray[Any, Any]]:
    return {name: np.array(value) for name, value in adapter_for(model).state(model).items()}


def example(framework: str) -> Any:
    return torch.from_numpy(X) if framework == "torch" else jnp.asarray(X)


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_a_mapping_changes_the_parameters_that_its_patterns_name_and_nothing_else(framework: str) -> None:
    model = build(framework)
    initlab.initialize(model, "normal(std=0.3)", seed=5, example=example(framework), reinit=True)
    weight = next(p.native for p in adapter_for(model).describe(model).params if p.shape == (3, 5))
    before = arrays(model)
    initlab.initialize(model, {weight: "normal(std=0.02)"}, seed=7, example=example(framework))
    after = arrays(model)
    assert [name for name in before if not np.array_equal(before[name], after[name])] == [weight]


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_numbers_of_unknown_role_are_warned_of_once_and_refused_in_strict(framework: str) -> None:
    model, x = build(framework, unused=9), example(framework)
    with pytest.warns(IncompleteWarning, match="50 % of the trainable numbers.* 1 parameter of unknown role") as caught:
        initlab.initialize(model, "he_normal", seed=5, example=x)  # 63 of 126
    assert [one.filename for one in caught] == [__file__]
    before = arrays(model)
    with pytest.raises(IncompleteError):
        initlab.initialize(model, "he_normal", seed=6, example=x, strict=True)
    after = arrays(model)
    assert all(np.array_equal(before[name], after[name]) for name in before)


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_applying_a_plan_warns_as_initialize_does(framework: str) -> None:
    model, x = build(framework, unused=9), example(framework)
    with pytest.warns(IncompleteWarning, match="50 % of the trainable numbers") as caught:
        cast(BoundPlan, initlab.plan(model, "he_normal", example=x)).apply(5)
    assert [one.filename for one in caught] == [__file__]


def test_a_comparison_warns_of_what_its_schemes_leave_and_says_so_in_its_caption(tmp_path: Path) -> None:
    def drawn() -> TorchNet:
        model = build("torch", unused=9)
        model.odd.data = torch.randn(9, 7)  # a constant that is written under watch is meant
        return cast(TorchNet, model)

    rng = np.random.default_rng(3)
    x, y = rng.normal(size=(40, 6)).astype(np.float32), rng.integers(0, 3, 40)
    options: dict[str, Any] = {"data": (x, y), "schemes": ["he_normal"], "seeds": 1, "epochs": 1}
    with pytest.warns(IncompleteWarning, match="^he_normal: 50 % of the trainable numbers .*unknown role") as caught:
        left = initlab.compare(build=drawn, out=tmp_path / "left", **options)
    assert [one.filename for one in caught] == [__file__]
    assert "he_normal: 50 % of the trainable numbers start as build draws them" in left.analysis.data
    whole = initlab.compare(build=lambda: build("torch"), out=tmp_path / "whole", **options)
    assert "as build draws" not in whole.analysis.data


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_a_model_that_is_known_in_full_is_initialised_in_strict_without_a_word(
    framework: str, recwarn: pytest.WarningsRecorder
) -> None:
    model = build(framework)
    initlab.initialize(model, "he_normal", seed=5, example=example(framework), strict=True)
    assert str(initlab.plan(model, "he_normal")).endswith("initialised 100 % of 63 numbers")
    assert not [one for one in recwarn if issubclass(one.category, IncompleteWarning)]


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_an_audit_never_says_that_nothing_is_wrong_over_what_it_did_not_judge(framework: str) -> None:
    model, x = build(framework, unused=9), example(framework)
    initlab.initialize(model, "he_normal", seed=5, example=x, exclude="*odd*")
    found = initlab.audit(model, "he_normal", example=x)
    head = " ".join(str(found).partition("kept  ")[0].split())
    assert found.ok
    assert head.endswith(
        "nothing is wrong in 50 % of the numbers; 50 % were not judged: 1 parameter of unknown role "
        f"({next(entry.native for entry in found if entry.verdict == 'kept')})"
    )
    assert found.account.kept == 0.5


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_an_audit_of_a_model_that_is_known_in_full_says_so_plainly(framework: str) -> None:
    model, x = build(framework), example(framework)
    initlab.initialize(model, "he_normal", seed=5, example=x)
    assert str(initlab.audit(model, "he_normal", example=x)).splitlines()[0].endswith("he_normal: nothing is wrong")


def probed(framework: str, unused: int = 0) -> Any:
    model, x = build(framework, unused), example(framework)
    initlab.initialize(model, "he_normal", seed=5, example=x, exclude="*odd*" if unused else None)
    return initlab.probe(model, x if framework == "torch" else X)


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_a_probe_says_which_share_of_the_numbers_it_saw_at_work(framework: str) -> None:
    profile = probed(framework, unused=1)  # 7 of 70
    assert profile.coverage.unseen == 0.1
    assert f"{'numbers seen at work':<36}90 % of 70\n  10 % in no operation: " in str(profile)
    assert profile.to_dict()["coverage"]["unseen"] == 0.1
    assert f"{'numbers seen at work':<36}100 % of 63\n" in str(probed(framework))


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_above_a_tenth_unseen_a_model_is_not_judged_unless_that_is_allowed(framework: str) -> None:
    profile = probed(framework, unused=9)
    diagnosis = profile.diagnose()
    assert (diagnosis.judged, diagnosis.healthy, diagnosis.alarms) == (False, False, ())
    assert "is not judged, for 50 % of its numbers were not seen at work" in diagnosis.headline
    with pytest.raises(InitlabError, match=r"not judged.*odd: in no operation: .*unseen=0\.5"):
        profile.assert_healthy()
    profile.assert_healthy(unseen=0.5)
    probed(framework, unused=1).assert_healthy()


class Experts(nn.Module):
    """Of eight experts of 30 numbers each the sign of an entry picks the first or the second; 35 and 18 beside them."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.head = nn.Linear(6, 5), nn.Linear(5, 3)
        self.experts = nn.ModuleList(nn.Linear(5, 5) for _ in range(8))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        h = torch.relu(self.a(x))
        made = [expert(h[x[:, 0].sign() == sign]) for sign, expert in zip((-1, 1), self.experts, strict=False)]
        return self.head(torch.cat(made))


def test_experts_that_no_token_reached_are_listed_apart() -> None:
    found = initlab.probe(Experts(), torch.from_numpy(X))
    assert {p.native.split(".")[1] for p in found.coverage.unreached} == set("234567")
    assert (found.coverage.unused, found.coverage.unread) == ((), ())
    assert found.coverage.unseen == 180 / 293
    assert "reached by no token or sample" in str(found)


def test_the_very_name_of_a_frozen_or_designed_parameter_asks_for_it_and_a_glob_does_not() -> None:
    net = torch.nn.Sequential(torch.nn.Linear(5, 7), torch.nn.ReLU(), torch.nn.Linear(7, 3))
    net[0].weight.requires_grad_(False)
    torch.nn.init.constant_(net[2].bias, -4.6)
    names = {"0.weight": "normal(std=0.3)", "2.bias": "constant(value=0.25)"}
    assert {initlab.plan(net, names)[name].action for name in names} == {"initialise"}
    globs = {"0.w*": "normal(std=0.3)", "2.b*": "constant(value=0.25)"}
    assert {initlab.plan(net, globs)[name].kept for name in names} == {"frozen", "design"}
    assert initlab.plan(net, names, exclude="2.*")["2.bias"].kept == "excluded"
    initlab.initialize(net, names, seed=3, strict=True)
    assert net[2].bias.tolist() == [0.25] * 3
    assert initlab.audit(net, names).ok
