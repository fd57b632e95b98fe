"""A model's bits are its own: they depend neither on its chunk's neighbours, nor on their number, nor on its place."""

import numpy as np
import pytest

from initlab.core.facts.arch import Mlp
from initlab.core.training.dataset import Dataset
from initlab.core.training.protocol import Budget, Optimizer, Start, Trained, TrainingSetup
from initlab.frameworks.jax.training.chunks import chunk_size
from initlab.frameworks.jax.training.train import train

MODELS = 47


def setup(arch: Mlp, rows: int, batch: int, epochs: int) -> TrainingSetup:
    rng = np.random.default_rng(rows)
    x, x_test = (rng.standard_normal((n, arch.widths[0]), np.float32) for n in (rows, 30))
    y, y_test = (rng.integers(0, 3, n).astype(np.int32) for n in (rows, 30))
    data = Dataset("noise", x, y, x_test, y_test, class_names=("a", "b", "c"))
    return TrainingSetup(arch, data, Optimizer("adam"), Budget(epochs, batch), histogram_epochs=(epochs,))


RECIPES = {
    "relu": setup(Mlp((4, 64, 32, 3)), 120, 32, 3),
    "gelu, batch norm, residual, dropout": setup(
        Mlp((17, 33, 33, 3), activation="gelu", norm="batch", residual=True, dropout=0.2), 90, 30, 2
    ),
    "wide, layer norm": setup(Mlp((120, 100, 3), activation="tanh", norm="layer"), 100, 64, 2),
}


def starts(arch: Mlp, count: int) -> list[Start]:
    rng = np.random.default_rng(0)
    return [
        Start(seed, {p.path: rng.standard_normal(p.shape, np.float32) / 4 for p in arch.spec().params})
        for seed in range(count)
    ]


def digest(one: Trained) -> bytes:
    arrays = [*one.curves.values(), *one.layers.values(), *(h.counts for h in one.histograms), one.predictions]
    return b"".join(np.ascontiguousarray(a).tobytes() for a in arrays)


@pytest.mark.parametrize("name", RECIPES)
def test_a_models_bits_do_not_depend_on_its_company(name: str) -> None:
    given, asked = starts(RECIPES[name].arch, MODELS), RECIPES[name]
    together = [digest(one) for one in train(asked, given)]
    assert len(set(together)) == MODELS
    for i in (0, 1, 39, 40, 46):
        assert digest(train(asked, [given[i]])[0]) == together[i], f"model {i} alone"
    assert [digest(one) for one in train(asked, given[5:8])] == together[5:8]
    order = np.random.default_rng(1).permutation(MODELS)
    assert [digest(one) for one in train(asked, [given[i] for i in order])] == [together[i] for i in order]


def test_a_chunk_of_tiny_networks_is_large_and_one_of_large_networks_is_one_model() -> None:
    assert chunk_size(RECIPES["relu"]) == 40
    large = Mlp((784, 256, 128, 10))
    x, y = np.zeros((256, 784), np.float32), np.zeros(256, np.int32)
    data = Dataset("blank", x, y, x, y, class_names=tuple("0123456789"))
    assert chunk_size(TrainingSetup(large, data, Optimizer("adam"), Budget(1, 128))) == 1


def test_the_learning_rate_is_no_part_of_the_compiled_code() -> None:
    from initlab.frameworks.jax.training.program import layout_of

    slow, fast = (
        TrainingSetup(RECIPES["relu"].arch, RECIPES["relu"].dataset, Optimizer("adam", rate), Budget(1, 32))
        for rate in (1e-4, 1e-2)
    )
    assert layout_of(slow) == layout_of(fast)
