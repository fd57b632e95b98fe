"""The torch trainer beside our JAX engine: the same weights, batches and masks give the same records."""

import os
import subprocess
import sys

import numpy as np
import pytest
import torch
from tests.frameworks.training_cases import CASES, EPOCHS, arrays_of, assert_alike, dataset, setup, start, weights

from initlab import initialize, plan
from initlab.core.errors import OptionError, ShapeError
from initlab.core.facts.arch import Mlp
from initlab.core.training.batches import dropout_key
from initlab.core.training.chunks import models_in_cache
from initlab.core.training.protocol import Budget, Optimizer, Start, TrainingSetup
from initlab.frameworks.torch.training.chunks import chunk_size
from initlab.frameworks.torch.training.dropout import mask, words
from initlab.frameworks.torch.training.model import forward
from initlab.frameworks.torch.training.train import train
from initlab.frameworks.torch.zoo import build_mlp
from initlab.theory.activations import ACTIVATIONS, register_activation

SGD = CASES["sgd"][0]


@pytest.mark.parametrize("name", CASES)
def test_a_run_is_that_of_the_jax_engine(name: str) -> None:
    from initlab.frameworks.jax.training.train import train as jax_train

    case, tolerance = CASES[name]
    ours, theirs = (t(setup(case), [start(case)])[0] for t in (train, jax_train))
    assert_alike(arrays_of(ours), arrays_of(theirs), tolerance)


def test_a_chunk_and_a_model_alone_train_alike(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, (case, tolerance) in CASES.items():
        runs = []
        for strict in ("", "AUTO,STRICT"):
            monkeypatch.setenv("MKL_CBWR", strict)
            runs.append(arrays_of(train(setup(case), [start(case)])[0]))
        assert chunk_size(setup(case)) > 1, name
        assert_alike(*runs, tolerance)


IN_A_STRICT_PROCESS = """
import numpy as np
from initlab.frameworks.torch.training.train import train
from tests.study.test_engine_bits import MODELS, RECIPES, digest, starts

for name, asked in RECIPES.items():
    given = starts(asked.arch, MODELS)
    together = [digest(one) for one in train(asked, given)]
    assert len(set(together)) == MODELS
    for i in (0, 1, 39, 40, 46):
        assert digest(train(asked, [given[i]])[0]) == together[i], (name, i)
    order = np.random.default_rng(1).permutation(MODELS)
    assert [digest(one) for one in train(asked, [given[i] for i in order])] == [together[i] for i in order], name
"""


def test_a_models_bits_do_not_depend_on_its_company(pytestconfig: pytest.Config) -> None:
    done = subprocess.run(
        [sys.executable, "-c", IN_A_STRICT_PROCESS],
        env={**os.environ, "MKL_CBWR": "AUTO,STRICT"},
        cwd=pytestconfig.rootpath,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_a_large_network_trains_alone_and_tiny_ones_by_the_vector() -> None:
    assert chunk_size(setup(SGD)) == 40
    large = TrainingSetup(Mlp((784, 128, 10)), dataset(SGD), Optimizer("sgd"), Budget(1, 64))
    assert models_in_cache(large) < 16
    assert chunk_size(large) == 1


def test_a_loss_that_overflows_is_a_divergence_with_its_step() -> None:
    asked = TrainingSetup(SGD.arch, dataset(SGD), Optimizer("sgd", 1e30), Budget(EPOCHS, 14))
    done = train(asked, [start(SGD)])[0]
    assert (done.status, done.diverged_step) == ("diverged", 2)
    assert done.reason == "loss became nan at step 2 (epoch 1)"
    assert np.isnan(done.curves["train_loss"]).all()
    assert set(done.predictions.tolist()) == {-1}


def test_dropout_drops_the_same_elements_as_the_jax_engine() -> None:
    from initlab.frameworks.jax.training import dropout as theirs

    key = dropout_key(7)
    ours = words(torch.from_numpy(key.view(np.int32)), 3, 1, (5, 8)).numpy().view(np.uint32)
    assert (ours == np.asarray(theirs.words(key, np.uint32(3), 1, (5, 8)))).all()


def test_dropout_keeps_the_mean() -> None:
    n, rate = 40_000, 0.3
    kept = mask((200, 200), 0, rate=rate, key=torch.from_numpy(dropout_key(0).view(np.int32)), step=0)
    assert sorted(set(kept.unique().tolist())) == [0.0, pytest.approx(1 / 0.7)]
    assert abs(float(kept.mean()) - 1.0) < 5 * (rate / (1 - rate) / n) ** 0.5


def test_training_leaves_the_number_of_threads_alone() -> None:
    before = torch.get_num_threads()
    train(setup(SGD), [start(SGD)])
    assert torch.get_num_threads() == before


def test_training_leaves_the_generator_alone() -> None:
    before = torch.get_rng_state()
    train(setup(SGD), [start(SGD)])
    assert torch.equal(torch.get_rng_state(), before)


def test_training_leaves_the_given_weights_alone() -> None:
    given = start(SGD)
    kept = {path: array.copy() for path, array in given.weights.items()}
    train(setup(SGD), [given])
    assert all((given.weights[path] == array).all() for path, array in kept.items())


def test_weights_of_another_shape_are_refused() -> None:
    with pytest.raises(ShapeError, match="0/weight"):
        train(setup(SGD), [Start(0, {**weights(SGD), "0/weight": np.zeros((12, 7), np.float32)})])


def test_an_activation_whose_formula_torch_cannot_run_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    for held in ("_items", "_keys"):
        monkeypatch.setattr(ACTIVATIONS, held, dict(getattr(ACTIVATIONS, held)))
    register_activation("running_sum_of_a_test", kinks=())(lambda x: np.cumsum(x))
    asked = TrainingSetup(Mlp((6, 12, 3), activation="running_sum_of_a_test"), dataset(SGD), Optimizer(), Budget(1, 14))
    with pytest.raises(OptionError, match="torch has no function for 'running_sum_of_a_test'"):
        train(asked, [])


ARCHS = [Mlp((6, 12, 3)), Mlp((6, 8, 8, 3), activation="tanh", norm="layer", residual=True)]


@pytest.mark.parametrize("arch", ARCHS)
def test_the_module_holds_the_canonical_weights_bit_for_bit(arch: Mlp) -> None:
    model = build_mlp(arch)
    initialize(model, "he_normal", seed=3)
    found = dict(model.named_parameters())
    for path, wanted in plan(arch, "he_normal").draw(3).items():
        native = path.replace("/", ".").replace("scale", "weight")
        assert (found[native].detach().numpy() == wanted).all(), path


@pytest.mark.parametrize("arch", [*ARCHS, Mlp((6, 8, 3), norm="batch")])
@pytest.mark.parametrize("training", [False, True])
def test_the_module_gives_the_trainers_logits(arch: Mlp, training: bool) -> None:
    model, x = build_mlp(arch).train(training), torch.randn(9, 6, generator=torch.Generator().manual_seed(0))
    params = {name.replace(".", "/"): p for name, p in model.named_parameters()}
    params |= {path.replace("/weight", "/scale"): p for path, p in params.items() if path.startswith("norm")}
    running = {"norm_0": (torch.zeros(8), torch.ones(8))} if arch.norm == "batch" and not training else None
    with torch.no_grad():
        assert torch.allclose(model(x), forward(arch, params, x, running=running).logits, rtol=0, atol=2e-6)


def test_the_modules_running_moments_move_as_the_trainers() -> None:
    model, x = build_mlp(Mlp((6, 8, 3), norm="batch")), torch.arange(54.0).reshape(9, 6)
    z = model.get_submodule("0")(x).detach()
    model(x)
    norm = model.get_submodule("norm_0")
    assert torch.allclose(norm.running_mean, 0.01 * z.mean(0), rtol=1e-5)
    assert torch.allclose(norm.running_var, 0.99 + 0.01 * z.var(0, correction=0), rtol=1e-5)
