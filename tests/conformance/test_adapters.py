"""Every framework passes the suite that is shipped for those of other packages, and so does one from outside."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import pytest
from tests.frameworks.numpy_nets import NUMPY_NETS
from tests.frameworks.numpy_nets.adapter import ADAPTER as NUMPY
from tests.frameworks.numpy_nets.adapter import NumpyAdapter, _held
from tests.frameworks.numpy_nets.training import train as train_chains

from initlab.core.adapter import Capture, Source
from initlab.core.errors import UnsupportedError
from initlab.core.facts.arch import Mlp
from initlab.core.facts.spec import ModelSpec, ParamSpec
from initlab.core.signals.readings import WeightGradient
from initlab.core.training.protocol import Start, Trained, TrainingSetup
from initlab.frameworks import FRAMEWORKS
from initlab.testing import ADAPTER_CHECKS, check_adapter
from initlab.testing.adapter import AdapterCheck

NEEDS = {"torch": "torch", "keras": "keras", "jax": "flax", NUMPY_NETS.name: "numpy"}


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # Keras on NumPy 2
@pytest.mark.parametrize("check", ADAPTER_CHECKS, ids=lambda check: check.__name__.removeprefix("check_"))
@pytest.mark.parametrize("framework", NEEDS)
def test_every_framework_does_alike(framework: str, check: AdapterCheck) -> None:
    pytest.importorskip(NEEDS[framework])
    check_adapter(FRAMEWORKS[framework].load(), checks=[check])


def shared(self: NumpyAdapter, model: object, param: ParamSpec) -> np.ndarray:
    return _held(model, param).T


def transposed(self: NumpyAdapter, model: object, param: ParamSpec) -> np.ndarray:
    return np.array(_held(model, param))


def partial_write(self: NumpyAdapter, model: object, param: ParamSpec, source: Source) -> None:
    _held(model, param).T[:1] = source.part()[:1]


def moving(self: NumpyAdapter, arch: Mlp, *, seed: int = 0) -> object:
    np.random.seed(seed)  # noqa: NPY002
    return BUILD(self, arch, seed=seed)


def without_facts(self: NumpyAdapter, model: object, **options: object) -> ModelSpec:
    spec = DESCRIBE(self, model, **options)
    return replace(spec, params=tuple(replace(p, f_in=None) for p in spec.params))


def half_a_gradient(self: NumpyAdapter, model: object, batch: object, **options: object) -> Capture:
    seen = CAPTURE(self, model, batch, **options)
    halved = {name: WeightGradient(g.square / 4.0, 0) for name, g in seen.reading.gradients.items()}
    return replace(seen, reading=replace(seen.reading, gradients=halved))


def vague(self: NumpyAdapter, model: object, **options: object) -> None:
    raise UnsupportedError("it cannot be done")


def other_weights(self: NumpyAdapter) -> Callable[..., list[Trained]]:
    def train(setup: TrainingSetup, starts: Sequence[Start]) -> list[Trained]:
        return train_chains(setup, [Start(s.seed, {k: 2.0 * w for k, w in s.weights.items()}) for s in starts])

    return train


def lasting_build(self: NumpyAdapter, factory: Callable[[], object], seed: int) -> tuple[object, object]:
    return factory(), None


BUILD, DESCRIBE, CAPTURE = NumpyAdapter.build, NumpyAdapter.describe, NumpyAdapter.capture


@pytest.mark.parametrize(
    ("method", "fault", "check", "said"),
    [
        ("read", shared, "reading_and_writing", "0/weight is read as the model's own memory"),
        ("read", transposed, "reading_and_writing", "0/weight reads not as it was written"),
        ("write", partial_write, "reading_and_writing", "0/weight reads not as it was written"),
        ("write", partial_write, "initialization", "the weights are not those of the plan"),
        ("mark", lambda self, model, names, seed: None, "designed_values", "a marked prior is taken for the author's"),
        ("build", moving, "build", "build moved a generator"),
        ("describe", without_facts, "description", "the facts are others"),
        ("capture", half_a_gradient, "capture", "the mean squares of the gradients"),
        ("jacobian", lambda self, model, row: np.ones((3, 5)), "jacobian", "the Jacobian"),
        ("watch", vague, "watch", "a refusal names no 'NumPy nets', or no other way: it cannot be done"),
        ("trainer", other_weights, "training", "the loss at the given weights"),
        ("digest", lambda self, model, factory: "", "own_training", "the digest follows the numbers, or not the"),
        ("outputs", lambda self, model, rows: np.float32(model(rows) + 0.01), "own_training", "the outputs"),
        ("build_own", lasting_build, "refusals", "a factory of a word is not refused as OptionError"),
    ],
)
def test_a_planted_fault_of_an_adapter_is_named(
    monkeypatch: pytest.MonkeyPatch, method: str, fault: Callable[..., object], check: str, said: str
) -> None:
    wanted = [one for one in ADAPTER_CHECKS if one.__name__ == f"check_{check}"]
    check_adapter(NUMPY, checks=wanted)  # the healthy twin
    monkeypatch.setattr(NumpyAdapter, method, fault)
    with pytest.raises(AssertionError) as raised:
        check_adapter(NUMPY, checks=wanted)
    assert f"numpy_nets: {check}: {said}" in str(raised.value)
