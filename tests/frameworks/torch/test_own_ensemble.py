"""Chunks of the user's own modules: each model as if it trained alone, and none that cannot be."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import cache

import numpy as np
import pytest
import torch
from tests.study.test_engine_bits import digest
from torch import nn
from torch.nn import functional

from initlab.core.plans.plan import make_plan
from initlab.core.training.outcomes import LAYER_METRICS
from initlab.core.training.protocol import Budget, Optimizer, Start, Trained, UserTrainingSetup
from initlab.frameworks.torch.user_training import train as own
from initlab.frameworks.torch.user_training.dropout import Mask, drawn
from initlab.frameworks.torch.user_training.products import product, product_plus
from initlab.frameworks.torch.user_training.single import train_alone
from initlab.frameworks.torch.user_training.stacking import MODELS
from initlab.schemes.rules import make_rules
from initlab.study.own_models import examine

from .own_nets import ALONE, TOGETHER, dataset, doubled, frozen, mlp, normed

COUNT = MODELS + 2


def setup(
    build: Callable[[], nn.Module], kind: str = "rows", *, epochs: int = 13, **options: object
) -> UserTrainingSetup:
    data = dataset(kind)
    kinds = ("int64",) if kind == "words" else ("float32",)
    seen = examine(build, data, row_kinds=kinds)
    return UserTrainingSetup(build, seen, data, Optimizer(**options), Budget(epochs, 30), histogram_epochs=(0, epochs))


def starts(asked: UserTrainingSetup, count: int) -> list[Start]:
    (rule,), _ = make_rules(asked.arch.spec(), "he_normal", dialect=None)
    plan = make_plan(asked.arch.spec(), [rule])
    return [Start(seed, plan.draw(seed)) for seed in range(count)]


def begun_alone(asked: UserTrainingSetup, start: Start) -> Trained:
    """The first three epochs of the module alone."""
    return train_alone(replace(asked, budget=Budget(3, 30), histogram_epochs=()), start)


@cache
def in_company(name: str) -> tuple[UserTrainingSetup, list[Start], list[Trained]]:
    asked = setup(*TOGETHER[name])
    given = starts(asked, COUNT)
    return asked, given, own.train(asked, given)


@pytest.mark.parametrize("name", TOGETHER)
def test_models_that_torch_func_takes_train_together(name):
    assert own.together(in_company(name)[0]) == (MODELS, "")


@pytest.mark.parametrize("name", TOGETHER)
def test_a_models_bits_do_not_depend_on_its_company(name):
    asked, given, done = in_company(name)
    together = [digest(one) for one in done]
    assert len(set(together)) == COUNT
    for i in (0, MODELS - 1, COUNT - 1):
        assert digest(own.train(asked, [given[i]])[0]) == together[i], f"model {i} alone"
    assert [digest(one) for one in own.train(asked, given[5:8][::-1])] == together[5:8][::-1]


@pytest.mark.parametrize("name", TOGETHER)
def test_a_model_in_a_chunk_goes_the_way_of_the_module_alone(name):
    asked, given, done = in_company(name)
    mine, alone = done[-1], begun_alone(asked, given[-1])
    for curve, values in alone.curves.items():
        # The first epochs: afterwards Adam has made much of roundings where a gradient is zero but for them.
        np.testing.assert_allclose(mine.curves[curve][:4], values, rtol=1e-4, err_msg=curve)
    for metric in LAYER_METRICS:
        found, wanted = mine.layers[metric][:4], alone.layers[metric]
        # A mean near zero is what roundings of numbers as large as the norm leave of it.
        scale = np.abs(alone.layers[f"{metric.partition('_')[0]}_norm"]).max() if metric != "dead" else 1.0
        np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-5 * scale, err_msg=metric)


def test_a_record_has_the_fields_of_the_module_alone():
    asked, given, done = in_company("mlp")
    mine, alone = done[0], train_alone(asked, given[0])
    bars = [[(h.epoch, h.layer, h.quantity, h.counts.sum()) for h in one.histograms] for one in (mine, alone)]
    assert bars[0] == bars[1]
    for one in (mine, alone):
        assert (one.status, one.predictions.dtype, one.predictions.shape) == ("ok", np.int32, (31,))
    assert _shapes(mine.curves) == _shapes(alone.curves)
    assert _shapes(mine.layers) == _shapes(alone.layers)


def _shapes(arrays: Mapping[str, np.ndarray]) -> dict[str, tuple[int, ...]]:
    return {name: array.shape for name, array in arrays.items()}


def test_pictures_of_the_first_weights_are_kept_where_units_see_whole_images():
    asked = setup(lambda: nn.Sequential(nn.Flatten(), nn.Linear(64, 3), nn.ReLU(), nn.Linear(3, 2)), "images")
    given = starts(asked, 2)
    done, alone = own.train(asked, given)[1].first_weights, train_alone(asked, given[1]).first_weights
    assert own.together(asked)[0] == MODELS
    np.testing.assert_allclose(done, alone, atol=1e-4)


def test_a_model_that_diverges_is_nan_from_that_epoch_on_and_harms_no_other():
    asked = setup(mlp, name="sgd", learning_rate=0.01)
    given = starts(asked, 3)
    before = [digest(one) for one in own.train(asked, given)]
    given[1] = Start(1, {path: 1e30 * w for path, w in given[1].weights.items()})
    done = own.train(asked, given)
    assert [one.status for one in done] == ["ok", "diverged", "ok"]
    assert done[1].diverged_step == begun_alone(asked, given[1]).diverged_step == 1
    assert np.isnan(done[1].layers["weight_norm"][1:]).all()
    assert set(done[1].predictions.tolist()) == {-1}
    assert [digest(done[i]) for i in (0, 2)] == [before[0], before[2]]


@pytest.mark.parametrize("options", [{"clip_norm": 0.1}, {"l1": 0.01, "l2": 0.02}, {"name": "adamw"}], ids=str)
def test_every_rule_of_the_optimizer_is_each_models_own(options):
    asked = setup(mlp, **options)
    given = starts(asked, 2)
    done, alone = own.train(asked, given)[1], begun_alone(asked, given[1])
    assert own.together(asked)[0] == MODELS
    np.testing.assert_allclose(done.curves["train_loss"][1:4], alone.curves["train_loss"][1:], rtol=1e-4)


def test_what_the_plan_keeps_is_as_each_seed_made_it():
    norms = [one.layers["weight_norm"][:, 0] for one in in_company("frozen")[2][:2]]
    assert own.together(setup(frozen))[0] == MODELS
    assert all(np.ptp(norm) == 0 for norm in norms)
    assert norms[0][0] != norms[1][0]


def test_a_start_whose_module_differs_from_the_others_trains_alone():
    def build() -> nn.Module:
        rate = 0.5 if torch.initial_seed() == 2 else 0.1
        return nn.Sequential(nn.Linear(4, 6), nn.Dropout(rate), nn.Linear(6, 3))

    asked = setup(build)
    given = starts(asked, 3)
    assert own.together(asked)[0] == MODELS
    done = own.train(asked, given)
    assert digest(done[2]) == digest(train_alone(asked, given[2]))
    assert digest(done[1]) == digest(own.train(asked, given[1:2])[0])


@pytest.mark.parametrize("name", ALONE)
def test_a_model_that_cannot_be_in_a_chunk_trains_alone_and_says_why(name):
    build, said = ALONE[name]
    size, reason = own.together(setup(build))
    assert size == 1
    assert said in reason
    assert "\n" not in reason


def test_models_of_another_precision_train_alone():
    data = dataset("rows")
    asked = setup(mlp)
    asked = UserTrainingSetup(doubled, asked.arch, data, asked.optimizer, asked.budget)
    assert own.together(asked) == (1, "its parameters are not all float32")


def test_short_runs_train_alone():
    assert own.together(setup(mlp, epochs=12)) == (1, "a run has 48 steps, fewer than 50")


def test_training_together_leaves_generator_and_threads_alone():
    asked = setup(normed)
    state, threads = torch.get_rng_state(), torch.get_num_threads()
    own.train(asked, starts(asked, 2))
    assert own.together(asked)[0] == MODELS
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.get_num_threads() == threads


def test_equal_pairs_of_matrices_give_equal_bits_wherever_they_lie():
    generator, rng = torch.Generator().manual_seed(0), np.random.default_rng(0)
    for rows, inner, columns in rng.integers(1, 70, (60, 3)).tolist():
        a, b = torch.randn(rows, inner, generator=generator), torch.randn(inner, columns, generator=generator)
        left, right = (x.expand(MODELS, *x.shape).contiguous() for x in (a, b))
        turned = b.T.expand(MODELS, columns, inner).contiguous().transpose(1, 2)
        for given in (right, turned):
            done = product(left, given)
            assert (done == done[:1]).all(), (rows, inner, columns)
        np.testing.assert_allclose(done[0], a.double() @ b.double(), atol=1e-4)


def test_a_product_with_a_sum_is_that_of_torch():
    c, a, b = torch.ones(2, 3, 5), torch.randn(2, 3, 4), torch.randn(2, 4, 5)
    wanted = torch.baddbmm(c, a, b, beta=0.5, alpha=2)
    assert torch.allclose(product_plus(c, a, b, beta=0.5, alpha=2), wanted, atol=1e-6)


def test_masks_are_those_that_dropout_draws():
    torch.manual_seed(3)
    wanted = [functional.dropout(torch.ones(9, 5), 0.3) for _ in range(2)]
    generator = torch.Generator().manual_seed(3)
    for one in wanted:
        assert torch.equal(drawn(Mask((9, 5), (5, 1), 0.7), [generator])[0], one)
