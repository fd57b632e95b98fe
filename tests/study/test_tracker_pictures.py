"""Pictures for trackers, and the first weights that they show: from the trainer to the record to the pixels."""

from dataclasses import replace

import numpy as np
import pytest
from tests.study.tracked_study import BLUE, GREY, MISS, RED, WHITE, decoded, record, squares, tiles

from initlab.core.facts.arch import Mlp
from initlab.core.training.dataset import Dataset
from initlab.core.training.protocol import Budget, Optimizer, Start, TrainingSetup
from initlab.frameworks import FRAMEWORKS
from initlab.study.codec import decode, encode
from initlab.study.trackers.pictures import example_grid, weight_grid


def test_weights_are_red_above_zero_blue_below_white_at_it_and_grey_where_not_finite() -> None:
    weight = np.array([[1.0] * 4, [-1.0] * 4, [0.0] * 4, [np.nan] * 4], np.float32)
    assert tiles(decoded(weight_grid(weight, (2, 2), title="ones, seed 0")), 84) == [RED, BLUE, WHITE, GREY]


def test_a_picture_shows_at_most_25_units() -> None:
    few, more = (weight_grid(np.ones((units, 4), np.float32), (2, 2), title="") for units in (25, 26))
    assert few == more


def test_a_picture_differs_by_its_title() -> None:
    first, second = (weight_grid(np.ones((1, 4), np.float32), (2, 2), title=f"ones, seed {seed}") for seed in (0, 1))
    assert first != second


def test_examples_of_a_run_that_diverged_lie_on_the_colour_of_misses() -> None:
    page = decoded(example_grid(squares(), np.full(30, -1, np.int32), title="ones, seed 0"))
    assert [page[-(12 + 1 + 1), 12 + 1 + i * 90].tolist() for i in range(4)] == [MISS] * 4


def test_a_record_keeps_the_first_weights_and_one_without_them_is_read() -> None:
    kept, without = decode(encode(record(0))), decode(encode(replace(record(0), first_weights=None)))
    np.testing.assert_array_equal(kept.first_weights, record(0).first_weights, strict=True)
    assert without.first_weights is None
    assert kept.run_id == without.run_id


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # Keras on NumPy 2
@pytest.mark.parametrize("framework", ["jax", "torch", "keras"])
def test_a_trainer_gives_the_first_weights_of_images_alone(framework: str) -> None:
    pytest.importorskip(framework)
    train = FRAMEWORKS[framework].trainer()
    x, y = np.ones((1, 4), np.float32), np.ones((1, 30), np.float32)
    lines = Dataset("ones", x, y, x, y, kind="regression")
    images = replace(lines, image_shape=(2, 2))
    start = Start(0, {"0/weight": np.zeros((30, 4), np.float32)})
    given = []
    for data in (lines, images):
        setup = TrainingSetup(Mlp((4, 30), bias=False), data, Optimizer("sgd", 3.75), Budget(1, 1), loss="mse")
        given.append(train(setup, [start])[0].first_weights)
    assert given[0] is None
    # The loss is the mean over 30 outputs: each weight moves by 3.75 * 2 / 30.
    np.testing.assert_allclose(given[1], [np.zeros((25, 4)), np.full((25, 4), 0.25)], rtol=1e-6)
    assert given[1].dtype == np.float32


def test_a_diverged_model_keeps_its_weights_at_initialization_alone() -> None:
    pytest.importorskip("jax")
    one = np.ones((1, 4), np.float32)
    data = Dataset("ones", one, one[:, :1], one, one[:, :1], kind="regression", image_shape=(2, 2))
    setup = TrainingSetup(Mlp((4, 1), bias=False), data, Optimizer("sgd", 1e30), Budget(4, 1), loss="mse")
    (result,) = FRAMEWORKS["jax"].trainer()(setup, [Start(0, {"0/weight": one})])
    assert result.status == "diverged"
    np.testing.assert_array_equal(result.first_weights, [one, np.full((1, 4), np.nan)])
